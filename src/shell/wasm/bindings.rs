//! Generated from the contract.

wasmtime::component::bindgen!({
    path: "plugins/wit",
    world: "full-check",
    imports: { default: async | trappable },
    exports: { default: async },
    with: {
        "catamaran:health/connection.stream": super::stream::Stream,
    },
});
