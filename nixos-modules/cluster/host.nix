# From the description to the options of the other modules.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkIf mkMerge;
  cluster = import ../lib;

  written = config.catamaran.cluster;
  description = removeAttrs written [ "host" ];
  name = written.host;

  problems =
    cluster.problems description
    ++
      lib.optional (!(written.machines ? ${name}))
        "host = ${builtins.toJSON name}: there is no such machine; write one of ${lib.concatStringsSep ", " (lib.attrNames written.machines)}";

  facts = cluster.facts description;
  host = facts.hosts.${name};
  isNode = host.kubernetes != null;
  isControlPlane = isNode && host.kubernetes.isControlPlane;
in
{
  config = mkIf (name != null) (mkMerge [
    {
      assertions = map (problem: {
        assertion = false;
        message = "catamaran.cluster.${problem}";
      }) problems;
    }

    # What follows from a wrong description is wrong too, and would only hide what was said.
    (mkIf (problems == [ ]) (mkMerge [
      {
        networking.hostName = mkDefault name;
        networking.hosts = facts.hostNames;
        catamaran.firewall.rules = host.firewall;
      }

      (mkIf facts.network.configure (
        let
          addresses = [
            {
              inherit (host) address prefixLength;
            }
          ];
          gateway = mkIf (facts.network.gateway != null) {
            address = facts.network.gateway;
            inherit (host) interface;
          };
        in
        {
          networking.useDHCP = mkDefault false;
          networking.interfaces.${host.interface} =
            if host.family == 4 then { ipv4.addresses = addresses; } else { ipv6.addresses = addresses; };
          networking.defaultGateway = mkIf (facts.network.gatewayFamily == 4) gateway;
          networking.defaultGateway6 = mkIf (facts.network.gatewayFamily == 6) gateway;
          networking.nameservers = facts.network.nameservers;
        }
      ))

      (mkIf (host.loadBalancer != null) {
        services.catamaran = {
          enable = true;
          inherit (host.loadBalancer) node;
          settings = facts.document;
        };
      })

      (mkIf isNode {
        catamaran.kubernetes = {
          inherit (host.kubernetes)
            version
            pauseImage
            ipv6
            join
            ;
          endpoint = host.kubernetes.endpointUrl;
          secrets = {
            caCertificate = host.secrets.kubernetesCaCertificate;
            inherit (host.secrets) bootstrapToken;
          };
          worker.enable = !isControlPlane;
        };
      })

      (mkIf isControlPlane {
        catamaran.kubernetes.controlPlane = {
          enable = true;
          inherit (host.kubernetes) init otherApiservers networkPlugin;
          initialise = host.kubernetes.isFirst;
          secrets = {
            inherit (host.secrets) certificateKey;
            inherit (host.kubernetes) pki;
          };
        };
      })

      (mkIf (host.etcd != null) {
        catamaran.etcd = {
          enable = true;
          inherit (host.etcd)
            name
            clientUrl
            peerUrl
            initialCluster
            initialClusterToken
            ;
          # Two options, which are listed on every host, members or not.
          certificateNames = {
            inherit (host.etcd.certificateNames) dns addresses;
          };
          secrets = {
            caCertificate = host.secrets.etcdCaCertificate;
            caKey = host.secrets.etcdCaKey;
          };
        };
      })
    ]))
  ]);
}
