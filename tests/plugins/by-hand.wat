;; The least component that can be a check; tests/plugin_fence.rs puts the
;; functions in. Its types are those of plugins/wit.
(component
    (import "catamaran:health/types@1.0.0" (instance $types
        (type $e (record
            (field "name" string) (field "address" string) (field "port" u16)
            (field "server-name" (option string)) (field "tls" bool)))
        (export "endpoint" (type $endpoint (eq $e)))
        (type $r (record (field "endpoint" $endpoint) (field "config" string) (field "timeout-ms" u32)))
        (export "request" (type (eq $r)))
        (type $v (variant (case "healthy" string) (case "degraded" string) (case "unhealthy" string)))
        (export "verdict" (type (eq $v)))))
    (import "catamaran:health/http@1.0.0" (instance $http
        (type $e (variant
            (case "denied" string) (case "refused") (case "unreachable" string) (case "timed-out")
            (case "closed") (case "tls" string) (case "protocol" string) (case "too-large")))
        (export "error" (type $error (eq $e)))
        (type $h (record (field "name" string) (field "value" (list u8))))
        (export "header" (type $header (eq $h)))
        (type $q (record
            (field "method" string) (field "path" string) (field "headers" (list $header))
            (field "body" (list u8)) (field "max-body" u32)))
        (export "http-request" (type $request (eq $q)))
        (type $a (record
            (field "status" u16) (field "headers" (list $header))
            (field "body" (list u8)) (field "truncated" bool)))
        (export "response" (type $response (eq $a)))
        (export "request" (func
            (param "request" $request) (result (result $response (error $error)))))))
    (alias export $types "request" (type $request))
    (alias export $types "verdict" (type $verdict))

    (core module $memory
        (memory (export "memory") 2)
        (data (i32.const 16) "GET/no luck")
        ;; What the host brings in begins at 100,000 and is never given back.
        (global $next (mut i32) (i32.const 100000))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (local $place i32)
            (local.set $place (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
            (global.set $next (i32.add (local.get $place) (local.get 3)))
            (local.get $place)))
    (core instance $memory (instantiate $memory))
    (core func $request (canon lower (func $http "request")
        (memory $memory "memory") (realloc (func $memory "realloc"))))

    (core module $main
        (import "memory" "memory" (memory 2))
        (import "http" "request"
            (func $request (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
        ;; FUNCTIONS
    )
    (core instance $main (instantiate $main
        (with "memory" (instance $memory))
        (with "http" (instance (export "request" (func $request))))))
    (func $check (param "request" $request) (result (result $verdict (error string)))
        (canon lift (core func $main "check")
            (memory $memory "memory") (realloc (func $memory "realloc"))))
    (export "check" (func $check)))
