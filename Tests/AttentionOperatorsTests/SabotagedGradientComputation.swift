import AttentionCore
import Foundation
import TensorCore

/// One call of ``SabotagedGradients``: every cell of every row in turn, scores as they come, in Double.
struct SabotagedGradientComputation {
    let problem: AttentionProblem
    let fault: GradientFault
    private let inputs: AttentionInputs
    private let queries: [Double]
    private let keys: [Double]
    private let values: [Double]
    private let output: [Double]
    private let logSumExp: [Double]?
    private let added: [Double]?
    private let mask: [Bool]?
    private let biasStrides: [Int]
    var query: [Double]
    var key: [Double]
    var value: [Double]
    var bias: [Double]
    var sinks: [Double]

    init(
        _ problem: AttentionProblem, _ inputs: AttentionInputs, _ gradient: OutputGradient, _ fault: GradientFault
    ) throws(AttentionError) {
        self.problem = problem
        self.fault = fault
        self.inputs = inputs
        queries = inputs.query.doubles()
        keys = inputs.key.doubles()
        values = inputs.value.doubles()
        output = gradient.output.doubles().map { fault == .gradientClipped ? min($0, 1) : $0 }
        logSumExp = gradient.logSumExp?.doubles()
        let scores = Shape([problem.batch, problem.heads, problem.queryLength, problem.keyLength])
        added = (try? inputs.bias?.broadcast(to: scores))?.doubles()
        mask = (try? inputs.mask?.broadcast(to: scores))?.doubles().map { $0 != 0 }
        query = [Double](repeating: 0, count: queries.count)
        key = [Double](repeating: 0, count: keys.count)
        value = [Double](repeating: 0, count: values.count)
        bias = [Double](repeating: 0, count: inputs.bias?.count ?? 0)
        sinks = [Double](repeating: 0, count: problem.heads)
        let shape = inputs.bias?.shape ?? []
        let dense = shape.rowMajorStrides
        biasStrides = (0..<4).map { axis in
            let own = axis - (4 - shape.rank)
            return own < 0 || shape[own] == 1 ? 0 : dense[own]
        }
    }

    mutating func run() {
        for batch in 0..<problem.batch {
            for head in 0..<problem.heads {
                let geometry = problem.geometry(batch, head: head)
                let rows = fault == .lastRowDropped ? max(0, geometry.queryLength - 1) : geometry.queryLength
                if fault == .groupOverwritten, head % problem.group != 0 { forget(batch, head) }
                for row in 0..<(fault == .paddingRead ? problem.queryLength : rows) {
                    derive(batch, head, row, geometry)
                }
            }
        }
    }

    /// One row: weights, then their derivatives, then the operands'.
    private mutating func derive(_ batch: Int, _ head: Int, _ row: Int, _ geometry: MaskGeometry) {
        let columns = fault == .paddingRead ? problem.keyLength : geometry.keyLength
        let place = (batch * problem.queryLength + row) * problem.heads + head
        let cells = (0..<columns).map { Cell(self, batch, head, row, $0, place, geometry) }
        let sink = inputs.sinks.map { Double($0[head]) }
        let highest = cells.reduce(sink ?? -.infinity) { max($0, $1.score) }
        if highest == -.infinity {
            if fault == .emptyRowIsNaN { query[place * problem.headDim] = .nan }
            return
        }
        var total = cells.reduce(0) { $0 + exp($1.score - highest) }
        let ofSink = sink.map { exp($0 - highest) } ?? 0
        if fault != .weightsWithoutSink { total += ofSink }
        if total == 0 { return }
        let weights = cells.map { $0.score == -.infinity ? 0 : exp($0.score - highest) / total }
        let byLogarithm =
            fault == .logSumExpIgnored
            ? 0 : logSumExp?[(batch * problem.heads + head) * problem.queryLength + row] ?? 0
        var byWeight = cells.map { cell in cell.isHidden ? 0 : dot(output, place, values, cell.key, problem.valueDim) }
        for index in cells.indices { byWeight[index] *= cells[index].kept }
        let sum = fault == .rowSumForgotten ? 0 : zip(weights, byWeight).reduce(0) { $0 + $1.0 * $1.1 }
        if sink != nil { sinks[head] += (fault == .sinkSignFlipped ? -1 : 1) * ofSink / total * (byLogarithm - sum) }
        for (index, cell) in cells.enumerated() {
            if cell.isHidden, fault != .hiddenNaNLeaks { continue }
            var change = weights[index] * (byWeight[index] - sum + byLogarithm)
            add(weights[index] * cell.kept, output, place, to: &value, cell.key, problem.valueDim)
            change *= cell.slope
            if added != nil { addToBias(change, batch, head, row, index) }
            change *= cell.tangent * (fault == .scaleForgotten ? 1 : Double(problem.scale))
            add(change, keys, cell.key, to: &query, place, problem.headDim)
            add(change, queries, place, to: &key, cell.key, problem.headDim)
        }
    }

    private mutating func addToBias(_ change: Double, _ batch: Int, _ head: Int, _ row: Int, _ column: Int) {
        let shown = fault == .biasOfFirstHead ? 0 : head
        let cell =
            batch * biasStrides[0] + shown * biasStrides[1] + row * biasStrides[2] + column * biasStrides[3]
        bias[cell] = fault == .biasNotSummed ? change : bias[cell] + change
    }

    /// What the heads of a group before this one have added is lost.
    private mutating func forget(_ batch: Int, _ head: Int) {
        for column in 0..<problem.keyLength {
            let start = keyRow(batch, head, column)
            for d in 0..<problem.headDim { key[start * problem.headDim + d] = 0 }
        }
    }

    fileprivate func keyRow(_ batch: Int, _ head: Int, _ column: Int) -> Int {
        let kvHead = fault == .wrongKeyHead ? head % problem.kvHeads : head / problem.group
        return (batch * problem.keyLength + column) * problem.kvHeads + kvHead
    }

    private func dot(_ left: [Double], _ i: Int, _ right: [Double], _ j: Int, _ count: Int) -> Double {
        (0..<count).reduce(0) { $0 + left[i * count + $1] * right[j * count + $1] }
    }

    private func add(
        _ factor: Double, _ source: [Double], _ i: Int, to target: inout [Double], _ j: Int, _ count: Int
    ) {
        for d in 0..<count { target[j * count + d] += factor * source[i * count + d] }
    }

    /// One score with what its derivative needs.
    private struct Cell {
        let key: Int
        var score = -Double.infinity
        /// 1 - tanh² of softcap.
        var tangent = 1.0
        /// The score function's derivative.
        var slope = 1.0
        /// What dropout multiplies the weight by.
        var kept = 1.0
        var isHidden: Bool { score == -.infinity }

        init(
            _ call: SabotagedGradientComputation, _ batch: Int, _ head: Int, _ row: Int, _ column: Int, _ place: Int,
            _ geometry: MaskGeometry
        ) {
            let problem = call.problem
            key = call.keyRow(batch, head, column)
            let cell = ((batch * problem.heads + head) * problem.queryLength + row) * problem.keyLength + column
            let options = problem.options
            let seen =
                call.fault == .paddingRead
                ? MaskGeometry(queryLength: problem.queryLength, keyLength: problem.keyLength) : geometry
            let reach = call.fault == .causalOffByOne && column > 0 ? column - 1 : column
            guard options.mask.allows(query: row, key: reach, seen), call.mask?[cell] ?? true else {
                // A mask that is added lets NaN through.
                if call.fault == .hiddenBiasLeaks, call.added?[cell].isNaN ?? false { score = .nan }
                return
            }
            var raw =
                call.dot(call.queries, place, call.keys, key, problem.headDim) * Double(problem.scale)
            if let softcap = options.softcap {
                let bent = tanh(raw / Double(softcap))
                if call.fault != .softcapSlopeForgotten { tangent = 1 - bent * bent }
                raw = Double(softcap) * bent
            }
            raw += call.added?[cell] ?? 0
            if let slope = inputsSlope(call, head) {
                raw -= slope * abs(Double(row + geometry.diagonal(.bottomRight) - column))
            }
            if let function = options.scoreFunction {
                let place = ScorePlace(batch: batch, head: head, query: row, key: column)
                if call.fault != .scoreSlopeForgotten { slope = function.derivative?(raw, place) ?? 1 }
                raw = function.value(raw, place)
            }
            score = raw
            dropped(call, batch, head, row, column)
        }

        private func inputsSlope(_ call: SabotagedGradientComputation, _ head: Int) -> Double? {
            call.inputs.alibiSlopes.map { Double($0[head]) }
        }

        private mutating func dropped(
            _ call: SabotagedGradientComputation, _ batch: Int, _ head: Int, _ row: Int, _ column: Int
        ) {
            var options = call.problem.options
            if call.fault == .dropoutIgnored { return }
            if call.fault == .dropoutOfAnotherSeed { options.seed += 1 }
            guard let pattern = DropoutPattern(options) else { return }
            let isKept = pattern.keeps(pattern.rowKey(batch: batch, head: head, query: row), key: column)
            let factor = call.fault == .dropoutWithoutScale ? 1 : 1 / (1 - Double(options.dropout))
            kept = isKept ? factor : 0
        }
    }
}
