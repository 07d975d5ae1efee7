public import CZooPlugin

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

// mean-swift: every query takes the mean of the values it may see. What softmax attention becomes when the scale is 0.
//
// A complete plugin in Swift: a dynamic library that sees the C header and nothing else. What the header wants to live as
// long as the process is allocated once and never freed.

/// The mean of visible values, one query at a time.
private func compute<Number: BinaryFloatingPoint>(
    _ problem: zoo_problem, _ inputs: zoo_inputs, _ outputs: zoo_outputs, as type: Number.Type
) {
    guard let values = inputs.value.data?.assumingMemoryBound(to: Number.self),
        let output = outputs.output.data?.assumingMemoryBound(to: Number.self)
    else { return }
    let strides = inputs.value.strides
    let (heads, width) = (Int(problem.heads), Int(problem.value_dim))
    for batch in 0..<Int(problem.batch) {
        for query in 0..<Int(problem.query_lengths[batch]) {
            let keys = keys(problem, batch: batch, query: query)
            if keys.isEmpty { continue }
            for head in 0..<heads {
                let kvHead = head / (heads / Int(problem.kv_heads))
                let row = ((batch * Int(problem.query_length) + query) * heads + head) * width
                for d in 0..<width {
                    var sum = 0.0
                    for key in keys {
                        let cell = batch * Int(strides.0) + key * Int(strides.1) + kvHead * Int(strides.2) + d
                        sum += Double(values[cell])
                    }
                    output[row + d] = Number(sum / Double(keys.count))
                }
            }
        }
    }
}

/// The keys that a query sees.
private func keys(_ problem: zoo_problem, batch: Int, query: Int) -> Range<Int> {
    let first = max(0, query + Int(problem.band_low[batch]))
    return first..<max(first, min(Int(problem.band_end[batch]), query + Int(problem.band_high[batch]) + 1))
}

/// Every visible value gets its part of the row's gradient; queries and keys get none.
private func derive<Number: BinaryFloatingPoint>(
    _ problem: zoo_problem, _ gradient: zoo_output_gradient, _ gradients: zoo_gradients, as type: Number.Type
) {
    guard let upstream = gradient.output.data?.assumingMemoryBound(to: Number.self),
        let target = gradients.value.data?.assumingMemoryBound(to: Number.self)
    else { return }
    let (heads, kvHeads, width) = (Int(problem.heads), Int(problem.kv_heads), Int(problem.value_dim))
    for batch in 0..<Int(problem.batch) {
        for query in 0..<Int(problem.query_lengths[batch]) {
            let keys = keys(problem, batch: batch, query: query)
            for head in 0..<heads {
                let row = ((batch * Int(problem.query_length) + query) * heads + head) * width
                for key in keys {
                    let cell =
                        ((batch * Int(problem.key_length) + key) * kvHeads + head / (heads / kvHeads)) * width
                    for d in 0..<width { target[cell + d] += upstream[row + d] / Number(keys.count) }
                }
            }
        }
    }
}

/// Both `backward` and `reference_backward`.
private func backward(
    _ host: UnsafePointer<zoo_host>?, _ problem: UnsafePointer<zoo_problem>?,
    _ gradient: UnsafePointer<zoo_output_gradient>?, _ gradients: UnsafePointer<zoo_gradients>?
) -> Int32 {
    guard let problem = problem?.pointee, let gradient = gradient?.pointee, let gradients = gradients?.pointee else {
        return 1
    }
    switch problem.dtype {
    case UInt32(ZOO_F32): derive(problem, gradient, gradients, as: Float.self)
    case UInt32(ZOO_F64): derive(problem, gradient, gradients, as: Double.self)
    default:
        host?.pointee.fail(host, "an element type that was not declared")
        return 1
    }
    return 0
}

/// Both `forward` and `reference`: the formula is as plain as it can be.
private func forward(
    _ state: UnsafeRawPointer?, _ host: UnsafePointer<zoo_host>?, _ problem: UnsafePointer<zoo_problem>?,
    _ inputs: UnsafePointer<zoo_inputs>?, _ outputs: UnsafePointer<zoo_outputs>?
) -> Int32 {
    guard let problem = problem?.pointee, let inputs = inputs?.pointee, let outputs = outputs?.pointee else { return 1 }
    switch problem.dtype {
    case UInt32(ZOO_F32): compute(problem, inputs, outputs, as: Float.self)
    case UInt32(ZOO_F64): compute(problem, inputs, outputs, as: Double.self)
    default:
        host?.pointee.fail(host, "an element type that was not declared")
        return 1
    }
    return 0
}

/// Text that lives as long as the process.
private func text(_ string: String) -> UnsafePointer<CChar>? { UnsafePointer(strdup(string)) }

/// A value that lives as long as the process.
private func constant<Value>(_ value: Value) -> UnsafePointer<Value> {
    let place = UnsafeMutablePointer<Value>.allocate(capacity: 1)
    place.initialize(to: value)
    return UnsafePointer(place)
}

private func meanOperator() -> zoo_operator {
    var result = zoo_operator()
    result.struct_size = UInt32(MemoryLayout<zoo_operator>.size)
    result.id = text("mean-swift")
    result.family = text("mixing")
    result.title = text("Mean of values in Swift")
    result.summary = text("Every query takes the mean of the values it may see.")
    result.paper = text("none: softmax attention with scale 0")
    result.status = text("experimental")
    result.priority = -10
    result.dtypes = UInt32(ZOO_F32) | UInt32(ZOO_F64)
    result.traits = UInt32(
        ZOO_TRAIT_WEIGHTED_MEAN | ZOO_TRAIT_KEY_ORDER_FREE | ZOO_TRAIT_ROW_INDEPENDENT | ZOO_TRAIT_ANY_SCORE
            | ZOO_TRAIT_SEES_EVERY_KEY)
    result.minimum_head_dim = 1
    result.maximum_head_dim = 4096
    result.features =
        UInt64(ZOO_FEATURE_VALUE_DIM) | UInt64(ZOO_FEATURE_GROUPED_QUERY) | UInt64(ZOO_FEATURE_CROSS_LENGTH)
        | UInt64(ZOO_FEATURE_CAUSAL) | UInt64(ZOO_FEATURE_WINDOW) | UInt64(ZOO_FEATURE_KEY_LENGTHS)
        | UInt64(ZOO_FEATURE_QUERY_LENGTHS)
    result.limit = text("scale 0")
    result.working_memory = text("O(1)")
    result.arithmetic = text("O(L^2)")
    result.maths = text("o = (v_1 + ... + v_n) / n over the n visible keys")
    result.choose = text("as the start of a plugin of your own in Swift")
    result.limits = text("queries and keys do not matter")
    result.forward = { forward($0, $1, $2, $3, $4) }
    result.reference = { forward($0, $1, $2, $3, $4) }
    result.backward = { backward($1, $2, $4, $5) }
    result.reference_backward = { backward($1, $2, $4, $5) }
    return result
}

/// Where the constant tables stand.
///
/// Unchecked: they are written before they are shared and never again.
private struct Tables: @unchecked Sendable {
    let plugin: UnsafePointer<zoo_plugin>

    static let shared: Tables = {
        var plugin = zoo_plugin()
        plugin.abi_version = UInt32(ZOO_PLUGIN_ABI_VERSION)
        plugin.struct_size = UInt32(MemoryLayout<zoo_plugin>.size)
        plugin.name = text("mean")
        plugin.version = text("1.0")
        let described: UnsafePointer<zoo_operator>? = constant(meanOperator())
        plugin.operators = constant(described)
        plugin.operator_count = 1
        return Tables(plugin: constant(plugin))
    }()
}

/// What the host looks for.
@_cdecl("zoo_plugin_entry")
public func pluginEntry(_ hostABIVersion: UInt32) -> UnsafePointer<zoo_plugin>? {
    hostABIVersion == UInt32(ZOO_PLUGIN_ABI_VERSION) ? Tables.shared.plugin : nil
}
