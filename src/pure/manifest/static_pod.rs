//! A pod that the kubelet of a control-plane node runs from a file, beside the
//! apiserver: no other machine is needed.

use std::net::SocketAddr;

use super::needs::{MountKind, Needs};
use super::{DOCUMENT, File, Wishes, environment, lines, quoted};
use crate::pure::config::Config;

pub(super) fn files(config: &Config, needs: &Needs, wishes: Wishes<'_>) -> Result<Vec<File>, String> {
    keep_apart(config)?;
    Ok(vec![File {
        name: "catamaran.yaml",
        text: pod(needs, wishes),
    }])
}

/// Nodes that are endpoints, too, listen there already. Apiservers do so on
/// every address of their machine, so that another address is not enough.
fn keep_apart(config: &Config) -> Result<(), String> {
    let is_here = |address: &SocketAddr| {
        address.ip().is_loopback() || config.nodes.iter().any(|node| node.address == address.ip())
    };
    let endpoints = config.pools.iter().flat_map(|pool| &pool.endpoints);
    let mut local = endpoints.filter(|endpoint| is_here(&endpoint.address));
    let taken = local.find_map(|endpoint| {
        let same_port = |port| port == endpoint.address.port();
        config.listeners.iter().find_map(|listener| {
            let bind = listener.bind.iter().find(|bind| same_port(bind.port))?;
            Some((listener, bind, endpoint))
        })
    });
    match taken {
        None => Ok(()),
        Some((listener, bind, endpoint)) => Err(format!(
            "listener {} cannot bind {bind} on a node where endpoint {} has {}: give the listener another \
             port, such as \"*:{}\", and name that port to clients",
            listener.name,
            endpoint.name,
            endpoint.address,
            another(bind.port)
        )),
    }
}

fn another(port: u16) -> u16 {
    if port == 7443 { 8443 } else { 7443 }
}

fn pod(needs: &Needs, wishes: Wishes<'_>) -> String {
    let image = quoted(wishes.image);
    let environment = lines(environment(needs, wishes.node), |(name, value)| {
        format!("        - name: {name}\n          value: {}", quoted(&value))
    });
    let capabilities = match needs.capabilities() {
        names if names.is_empty() => String::new(),
        names => format!("          add: [{}]\n", names.join(", ")),
    };
    let mounts = needs.mounts.iter().enumerate();
    let volume_mounts = lines(mounts.clone(), |(index, mount)| {
        let read_only = mount.kind != MountKind::Cache;
        format!(
            "        - name: host-{index}\n          mountPath: {}\n          readOnly: {read_only}",
            quoted(&mount.path)
        )
    });
    let volumes = lines(mounts, |(index, mount)| {
        let kind = match mount.kind {
            MountKind::File => "File",
            MountKind::Folder | MountKind::Cache => "DirectoryOrCreate",
        };
        format!(
            "    - name: host-{index}\n      hostPath:\n        path: {}\n        type: {kind}",
            quoted(&mount.path)
        )
    });
    let stop = needs.stop;
    let version = quoted(env!("CARGO_PKG_VERSION"));
    format!(
        "\
# A load balancer on the control-plane nodes themselves, run by their kubelets.
# Made from the document by `catamaran image manifest static-pod`; to be made
# anew when its virtual routers, ports, files or drain-timeout change.
#
# Put it into /etc/kubernetes/manifests/ and the document at
# {DOCUMENT} of each of them. Each finds itself in the document
# by its host name, unless CATAMARAN_NODE says otherwise.
apiVersion: v1
kind: Pod
metadata:
  name: catamaran
  namespace: kube-system
  labels:
    app.kubernetes.io/name: catamaran
    app.kubernetes.io/component: load-balancer
    app.kubernetes.io/version: {version}
spec:
  hostNetwork: true
  priorityClassName: system-node-critical
  restartPolicy: Always
  enableServiceLinks: false
  # Handing over, and the drain-timeout of the document.
  terminationGracePeriodSeconds: {stop}
  securityContext:
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: load-balancer
      image: {image}
      imagePullPolicy: IfNotPresent
      command: [\"/catamaran\"]
      args: [\"run\"]
      env:
{environment}      securityContext:
        # Kubernetes gives capabilities to no other user. This one has none
        # beyond those that are named here, and may write nowhere.
        runAsUser: 0
        runAsGroup: 0
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
{capabilities}      # It answers at all.
      livenessProbe:
        exec:
          command: [\"/catamaran\", \"status\"]
        initialDelaySeconds: 5
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      # It takes connections, and part in the elections.
      readinessProbe:
        exec:
          command: [\"/catamaran\", \"status\", \"--ready\"]
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 1
      resources:
        requests:
          cpu: 100m
          memory: 64Mi
      volumeMounts:
        - name: document
          mountPath: {DOCUMENT}
          readOnly: true
{volume_mounts}  volumes:
    - name: document
      hostPath:
        path: {DOCUMENT}
        type: File
{volumes}"
    )
}
