# The binary, with its completions and manual pages. Called with `pkgsStatic` it is one static file, as
# images want it.
{
  lib,
  stdenv,
  rustPlatform,
  buildPackages,
  installShellFiles,
  # The commit that this is, for `catamaran image build`.
  revision ? null,
}:
let
  inherit (fromTOML (builtins.readFile ../../Cargo.toml)) package;
in
rustPlatform.buildRustPackage {
  pname = package.name;
  inherit (package) version;

  src = (import ./sources.nix).balancer;
  cargoLock.lockFile = ../../Cargo.lock;

  # Images have a bill of materials beside the binary, made of Cargo.lock.
  auditable = false;

  env = lib.optionalAttrs (revision != null) { CATAMARAN_REVISION = revision; };

  # They want root or user namespaces, Debian's keepalived, and minutes: `.ci/run` has them.
  doCheck = false;

  nativeBuildInputs = [ installShellFiles ];
  postInstall =
    let
      # What runs here, for a binary that is made for another machine.
      emulator = stdenv.hostPlatform.emulator buildPackages;
      catamaran = "${emulator} $out/bin/catamaran";
    in
    lib.optionalString (stdenv.hostPlatform.emulatorAvailable buildPackages) ''
      for shell in bash fish zsh; do
        ${catamaran} completions $shell > catamaran.$shell
      done
      installShellCompletion catamaran.{bash,fish,zsh}
      mkdir man
      ${catamaran} man --output man
      installManPage man/*
    '';

  doInstallCheck = stdenv.buildPlatform.canExecute stdenv.hostPlatform;
  installCheckPhase = ''
    runHook preInstallCheck
    $out/bin/catamaran --version
    $out/bin/catamaran check ${../../tests/config/valid/founding.toml}
    runHook postInstallCheck
  '';

  meta = {
    inherit (package) description;
    license = [
      lib.licenses.asl20
      lib.licenses.mit
    ];
    mainProgram = "catamaran";
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
    ];
  };
}
