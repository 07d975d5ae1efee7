import TensorCore

/// Makes a problem of a range of the keys such that everything placed keeps its place in the whole.
struct KeySlice {
    let inputs: AttentionInputs
    let problem: AttentionProblem
    let keys: Range<Int>

    init(_ inputs: AttentionInputs, problem: AttentionProblem, keys: Range<Int>) {
        self.inputs = inputs
        self.problem = problem
        self.keys = keys
    }

    /// The range of a batch without padding, or of one sequence by its true lengths.
    func part(of sequence: Int? = nil) throws(AttentionError) -> (AttentionInputs, AttentionOptions) {
        let whole = problem.geometry(sequence ?? 0)
        let range = keys.clamped(to: 0..<whole.keyLength)
        do throws(TensorError) {
            func only(_ tensor: Tensor, length: Range<Int>) throws(TensorError) -> Tensor {
                let own = try sequence.map { (index) throws(TensorError) in try tensor.sliced(0, index..<index + 1) }
                return try (own ?? tensor).sliced(1, length)
            }
            var part = AttentionInputs(
                query: try only(inputs.query, length: 0..<whole.queryLength),
                key: try only(inputs.key, length: range), value: try only(inputs.value, length: range),
                alibiSlopes: nil, sinks: nil, parameters: inputs.parameters)
            part.mask = try inputs.mask.map { (mask) throws(TensorError) in
                try cells(mask, sequence, queries: whole.queryLength, range)
            }
            part.bias = try inputs.bias.map { (bias) throws(TensorError) in
                try cells(bias, sequence, queries: whole.queryLength, range)
            }
            part.keyScales = try inputs.keyScales.map { (scales) throws(TensorError) in
                try only(scales, length: range).copied()
            }
            part.valueScales = try inputs.valueScales.map { (scales) throws(TensorError) in
                try only(scales, length: range).copied()
            }
            if let slopes = inputs.alibiSlopes {
                part.bias = try adding(slopes, to: part.bias, whole, range)
            }
            return (part, options(whole, range, sequence))
        } catch {
            throw .tensor(operand: "keys \(keys)", reason: error.description)
        }
    }

    private func options(_ whole: MaskGeometry, _ range: Range<Int>, _ sequence: Int?) -> AttentionOptions {
        var options = problem.options
        if options.mask != .full {
            options.mask = .shifted(
                ShiftedMask(
                    sequence.map { options.mask.moved(batch: $0) } ?? options.mask, keys: range.lowerBound,
                    lengths: .init(queryLength: whole.queryLength, keyLength: whole.keyLength)))
        }
        options.scoreFunction = options.scoreFunction.map {
            $0.moved(batch: sequence ?? 0, keys: range.lowerBound)
        }
        return options
    }

    /// The cells of a bias or mask that belong to the range; axes that are repeated stay so.
    private func cells(
        _ tensor: Tensor, _ sequence: Int?, queries: Int, _ range: Range<Int>
    ) throws(TensorError) -> Tensor {
        var result = try tensor.broadcast(
            to: Shape([Int](repeating: 1, count: 4 - tensor.shape.rank) + tensor.shape.dimensions))
        if let sequence, result.shape[0] > 1 { result = try result.sliced(0, sequence..<sequence + 1) }
        if result.shape[2] > 1 { result = try result.sliced(2, 0..<queries) }
        if result.shape[3] > 1 { result = try result.sliced(3, range) }
        return result
    }

    /// A bias of [batch or 1, heads, queries, keys]: slopes are placed by the whole's lengths, which a part does not have.
    private func adding(
        _ slopes: [Float], to bias: Tensor?, _ whole: MaskGeometry, _ range: Range<Int>
    ) throws(TensorError) -> Tensor {
        let sequences = bias?.shape[0] ?? 1
        let shape = Shape([sequences, slopes.count, whole.queryLength, range.count])
        var numbers = try bias?.broadcast(to: shape).doubles() ?? [Double](repeating: 0, count: shape.count)
        let diagonal = whole.diagonal(.bottomRight)
        for cell in numbers.indices {
            let key = range.lowerBound + cell % range.count
            let query = cell / range.count % whole.queryLength
            let head = cell / range.count / whole.queryLength % slopes.count
            numbers[cell] -= Double(slopes[head]) * Double(abs(query + diagonal - key))
        }
        return try Tensor(numbers, shape: shape).converted(to: .float32)
    }

    /// Sequences one below the other, padded as the whole is.
    func join(_ results: [AttentionOutput]) throws(AttentionError) -> AttentionOutput {
        let shape = Shape([problem.batch, problem.queryLength, problem.heads, problem.valueDim])
        let output = Tensor(zeros: shape, dtype: problem.dtype)
        var logarithms = [Float](repeating: -.infinity, count: problem.batch * problem.heads * problem.queryLength)
        let rowBytes = problem.heads * problem.valueDim * problem.dtype.byteWidth
        for (sequence, result) in results.enumerated() {
            let dense = result.output.contiguous()
            withExtendedLifetime(dense) {
                (output.freshMutableAddress + sequence * problem.queryLength * rowBytes)
                    .copyMemory(from: dense.baseAddress, byteCount: dense.count * problem.dtype.byteWidth)
            }
            let own = result.logSumExp?.floats() ?? []
            let rows = dense.shape[1]
            for index in own.indices {
                let head = index / max(1, rows)
                logarithms[(sequence * problem.heads + head) * problem.queryLength + index % max(1, rows)] = own[index]
            }
        }
        do throws(TensorError) {
            return AttentionOutput(
                output: output,
                logSumExp: try Tensor(logarithms, shape: [problem.batch, problem.heads, problem.queryLength]))
        } catch {
            throw .tensor(operand: "log_sum_exp", reason: error.description)
        }
    }
}

extension AttentionMask {
    /// The same mask for a problem that holds nothing but one sequence of the whole batch.
    fileprivate func moved(batch: Int) -> AttentionMask {
        switch self {
        case .function(let function): .function(function.moved(batch: batch))
        case .and(let parts): .and(parts.map { $0.moved(batch: batch) })
        case .or(let parts): .or(parts.map { $0.moved(batch: batch) })
        case .not(let part): .not(part.moved(batch: batch))
        case .documents(let documents): .documents(documents.moved(batch: batch))
        case .shifted(let shifted):
            .shifted(
                ShiftedMask(
                    shifted.mask.moved(batch: batch), queries: shifted.queries, keys: shifted.keys,
                    lengths: shifted.lengths))
        case .full, .causal, .window, .prefix, .tree, .blocks: self
        }
    }
}

extension DocumentMask {
    fileprivate func moved(batch: Int) -> DocumentMask {
        // Ranges that were accepted once are accepted again.
        (try? DocumentMask(queries: queries, keys: keys, inner: inner.moved(batch: batch))) ?? self
    }
}

extension MaskFunction {
    fileprivate func moved(batch: Int) -> MaskFunction {
        @Sendable func whole(_ geometry: MaskGeometry) -> MaskGeometry {
            MaskGeometry(
                queryLength: geometry.queryLength, keyLength: geometry.keyLength, batch: geometry.batch + batch,
                head: geometry.head)
        }
        let (visible, tile, bounds) = (visible, tile, bounds)
        return MaskFunction(
            "\(name) from sequence \(batch)",
            bounds: bounds.map { bounds in { @Sendable queries, geometry in bounds(queries, whole(geometry)) } },
            classify: tile.map { tile in { @Sendable queries, keys, geometry in tile(queries, keys, whole(geometry)) } }
        ) { query, key, geometry in visible(query, key, whole(geometry)) }
    }
}

extension ScoreFunction {
    /// The same function for a part of a problem that begins at a sequence and a key.
    fileprivate func moved(batch: Int, keys: Int) -> ScoreFunction {
        @Sendable func whole(_ place: ScorePlace) -> ScorePlace {
            ScorePlace(batch: place.batch + batch, head: place.head, query: place.query, key: place.key + keys)
        }
        let (value, derivative) = (value, derivative)
        return ScoreFunction(
            "\(name) from \(batch), \(keys)",
            derivative: derivative.map { derivative in { @Sendable score, place in derivative(score, whole(place)) } }
        ) { score, place in value(score, whole(place)) }
    }
}
