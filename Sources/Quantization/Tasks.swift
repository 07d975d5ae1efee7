import Kernels

extension ComputeContext? {
    /// Runs `body(task)` for every task, in any order: on the context's threads, or on the caller's where there is none.
    func forEach(_ tasks: Int, _ body: @Sendable (_ task: Int) -> Void) {
        if let self {
            self.parallel(tasks) { task, _ in body(task) }
        } else {
            for task in 0..<tasks { body(task) }
        }
    }

    /// The sum of the parts, in their order, whatever the number of threads.
    func sum(_ tasks: Int, _ part: @Sendable (_ task: Int) -> Double) -> Double {
        var parts = [Double](repeating: 0, count: tasks)
        parts.withUnsafeMutableBufferPointer { parts in
            guard let base = parts.baseAddress else { return }
            let target = SendablePointer(base)
            forEach(tasks) { target.base[$0] = part($0) }
        }
        return parts.reduce(0, +)
    }
}
