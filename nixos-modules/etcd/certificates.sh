# Makes this member's certificate, for clients and for the other members, and renews it in time.
#
# Made from $CREDENTIALS_DIRECTORY/ca.{crt,key} into $CERTIFICATES (its group may read them): a new one if
# there is none, if it is not of this authority, if the names in $NAMES changed, or if it ends within
# $RENEW_DAYS. etcd reads its certificate again with each connection, so that nothing is restarted.
set -euo pipefail
umask 027

: "${CREDENTIALS_DIRECTORY:?}" "${CERTIFICATES:?}" "${MEMBER:?}" "${NAMES:?DNS:a,IP:b, as openssl writes them}"
DAYS=${DAYS:-365}
RENEW_DAYS=${RENEW_DAYS:-120}

ca=$CREDENTIALS_DIRECTORY/ca

main() {
  local why
  cd "$CERTIFICATES"
  why=$(reason)
  if [[ -z $why ]]; then
    echo "the certificate of $MEMBER is good for more than $RENEW_DAYS days"
    return
  fi
  echo "making a certificate of $MEMBER: $why"
  make
}

# Why a new certificate is needed; nothing if it is not.
reason() {
  if [[ ! -e member.crt || ! -e member.key || ! -e ca.crt ]]; then
    echo "there is none"
  elif ! cmp --silent "$ca.crt" ca.crt || ! openssl verify -CAfile ca.crt member.crt >/dev/null 2>&1; then
    echo "it is not of this authority, or has ended"
  elif [[ $(cat names) != "$NAMES" ]]; then
    echo "the names changed"
  elif ! openssl x509 -in member.crt -noout -checkend "$((RENEW_DAYS * 86400))" >/dev/null; then
    echo "it ends soon"
  fi
}

# New files are put in place when all of them are whole.
make() {
  openssl ecparam -name prime256v1 -genkey -noout -out member.key.new
  openssl req -x509 -new -key member.key.new -CA "$ca.crt" -CAkey "$ca.key" -out member.crt.new \
    -days "$DAYS" -sha256 -config /dev/stdin <<END
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = $MEMBER
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = $NAMES
END
  cp "$ca.crt" ca.crt.new
  chmod 640 member.key.new member.crt.new ca.crt.new
  printf '%s\n' "$NAMES" >names.new
  mv ca.crt.new ca.crt
  mv member.key.new member.key
  mv member.crt.new member.crt
  mv names.new names
}

main
