# The check plugins, built from source: `plugin = "file:${plugins}/lib/catamaran/tcp.wasm"`. The same
# ones are in the binary, as they were committed.
{
  rustPlatform,
  stdenv,
  cargo,
  rustc,
  lld,
  catamaran,
}:
let
  inherit (fromTOML (builtins.readFile ../../images/plugins.toml)) plugins;
  names = toString (builtins.attrNames plugins);
in
stdenv.mkDerivation {
  pname = "catamaran-plugins";
  inherit (catamaran) version;

  src = (import ./sources.nix).plugins;
  cargoDeps = rustPlatform.importCargoLock { lockFile = ../../Cargo.lock; };

  nativeBuildInputs = [
    cargo
    rustc
    # rustc's own linker is not in its package.
    lld
    rustPlatform.cargoSetupHook
    catamaran
  ];

  postPatch = ''
    patchShebangs plugins/toolchain
  '';

  env.CATAMARAN_WASM_RUSTC = "own";
  buildPhase = ''
    runHook preBuild
    catamaran plugin build ${names}
    runHook postBuild
  '';

  # Each is loaded and asked about an endpoint that is not there, which it has to notice.
  doCheck = true;
  checkPhase = ''
    runHook preCheck
    for name in ${names}; do
      (catamaran probe --plugin file:plugins/built/$name.wasm --insecure --endpoint 127.0.0.1:1 || true) | tee said
      grep --quiet refused: said
    done
    runHook postCheck
  '';

  installPhase = ''
    runHook preInstall
    for name in ${names}; do
      install -D --mode=444 --target-directory=$out/lib/catamaran plugins/built/$name.wasm
    done
    runHook postInstall
  '';

  # Bytecode is no business of strip.
  dontFixup = true;

  meta = {
    description = "Check plugins of Catamaran, WebAssembly components";
    inherit (catamaran.meta) license platforms;
  };
}
