# The founding cluster for real: kubeadm makes it out of the one description, with
# images of nixpkgs' own programs, since machines of a test reach no registry.
{
  lib,
  modules,
  pkgs,
  ...
}:
let
  kubernetes = pkgs.kubernetes;

  secrets = pkgs.runCommand "cluster-secrets" { nativeBuildInputs = [ pkgs.openssl ]; } ''
    bash ${../../../nixos-modules/secrets/cluster-secrets.sh} $out
  '';

  description = import ../../../nixos-modules/examples/founding.nix // {
    interface = "eth1";
    networks = { };
    kubernetes = { inherit (kubernetes) version; };
  };

  image =
    name: contents:
    pkgs.dockerTools.buildLayeredImage {
      name = "localhost/${name}";
      tag = "built";
      inherit contents;
      config.Env = [ "PATH=/bin" ];
    };

  images = [
    (image "kube-apiserver" [ kubernetes ])
    (image "kube-controller-manager" [ kubernetes ])
    (image "kube-scheduler" [ kubernetes ])
    (image "kube-proxy" [
      kubernetes
      pkgs.iptables
      pkgs.conntrack-tools
    ])
    (image "etcd" [ pkgs.etcd ])
    (image "coredns" [ pkgs.coredns ])
    (pkgs.dockerTools.buildLayeredImage {
      name = "localhost/pause";
      tag = "built";
      contents = [ kubernetes.pause ];
      config.Entrypoint = [ "/bin/pause" ];
    })
  ];

  # Each image under the name that kubeadm has for it.
  load = pkgs.writeShellScript "load-images" ''
    ${lib.concatMapStrings (image: ''
      ctr --namespace k8s.io images import ${image}
    '') images}
    kubeadm config images list --kubernetes-version v${kubernetes.version} | while read -r name; do
        own=''${name##*/}
        ctr --namespace k8s.io images tag "localhost/''${own%%:*}:built" "$name"
    done
  '';

  member = host: {
    imports = [ modules.cluster ];
    virtualisation = {
      vlans = [ 1 ];
      cores = 2;
      memorySize = 2048;
      diskSize = 8192;
    };
    networking.hostName = lib.mkForce host;
    # As agenix or sops would put them there.
    systemd.tmpfiles.rules = [ "C /run/secrets 0700 root root - ${secrets}" ];
    catamaran.cluster = description // {
      inherit host;
    };
  };

  balancer = host: {
    imports = [ (member host) ];
  };

  node = host: {
    imports = [ (member host) ];
    systemd.services.load-images = {
      wantedBy = [ "multi-user.target" ];
      after = [ "containerd.service" ];
      requires = [ "containerd.service" ];
      before = [ "catamaran-kubeadm.service" ];
      path = [
        pkgs.containerd
        kubernetes
      ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = load;
      };
    };
    # Enough of a network plugin for nodes to be ready.
    environment.etc."cni/net.d/10-bridge.conf".text = builtins.toJSON {
      cniVersion = "1.0.0";
      name = "pods";
      type = "bridge";
      bridge = "pods";
      isGateway = true;
      ipMasq = true;
      ipam = {
        type = "host-local";
        ranges = [ [ { subnet = "10.244.0.0/24"; } ] ];
        routes = [ { dst = "0.0.0.0/0"; } ];
      };
    };
  };
in
{
  nodes = {
    lb_a = balancer "lb-a";
    lb_b = balancer "lb-b";
    master1 = node "master1";
    master2 = node "master2";
    master3 = node "master3";
    worker = node "worker";
  };
  testScript = ''
    KUBECTL = "kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout 10s"

    start_all()
    for machine in [master1, master2, master3, worker]:
        machine.wait_for_unit("catamaran-kubeadm.service", timeout=1800)

    with subtest("every machine is a ready node, and everybody talks to the virtual address"):
        for name in ["master1", "master2", "master3", "worker"]:
            master1.wait_until_succeeds(f"{KUBECTL} wait --for=condition=Ready node/{name} --timeout=60s")
        worker.succeed("grep -F 'server: https://211.183.3.250:6443' /etc/kubernetes/kubelet.conf")

    with subtest("a load balancer dies, and kubectl goes on"):
        lb_a.crash()
        lb_b.wait_until_succeeds("ip -oneline address show | grep -F ' 211.183.3.250/'")
        master2.wait_until_succeeds(f"{KUBECTL} get nodes")

    with subtest("a control plane dies, and kubectl goes on"):
        master1.crash()
        master2.wait_until_succeeds(f"{KUBECTL} get nodes")

    with subtest("a reboot changes nothing"):
        worker.shutdown()
        worker.start()
        worker.wait_for_unit("kubelet.service")
        master2.wait_until_succeeds(f"{KUBECTL} wait --for=condition=Ready node/worker --timeout=60s")
  '';
}
