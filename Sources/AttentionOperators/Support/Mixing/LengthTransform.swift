import Foundation
import Kernels

/// The discrete Fourier transform of one length, `X_k = Σ x_j exp(-2πi jk / n)`, on lanes side by side.
///
/// A power of two is Stockham's algorithm. Any other length is Bluestein's: with `w_k = exp(-πi k² / n)`,
///
///     X_k = w_k · Σ (x_j w_j) conj(w_{k-j})
///
/// is a convolution, which two transforms of a power of two of at least 2n - 1 compute. Tables are made in Double.
/// Cost: O(n log n) for each lane.
struct LengthTransform: Sendable {
    /// The length, at least 1.
    let length: Int
    /// The power of two that is transformed.
    let size: Int
    private let cosine: [Float]
    private let sine: [Float]
    /// `w_k`, empty for a power of two.
    private let chirpReal: [Float]
    private let chirpImaginary: [Float]
    /// The transform of `conj(w)` over `size`.
    private let kernelReal: [Float]
    private let kernelImaginary: [Float]

    private typealias Lanes = SIMD16<Float>

    /// Makes the tables.
    init(_ length: Int) {
        self.length = length
        let isPower = Self.isPower(length)
        let size = Self.size(length)
        self.size = size
        let angles = (0..<size).map { -2 * Double.pi * Double($0) / Double(size) }
        cosine = angles.map { Float(cos($0)) }
        sine = angles.map { Float(sin($0)) }
        guard !isPower else {
            (chirpReal, chirpImaginary, kernelReal, kernelImaginary) = ([], [], [], [])
            return
        }
        // k² modulo 2n first: the angle of a large k² would have lost its last digits.
        let chirp = (0..<length).map { -Double.pi * Double($0 * $0 % (2 * length)) / Double(length) }
        chirpReal = chirp.map { Float(cos($0)) }
        chirpImaginary = chirp.map { Float(sin($0)) }
        var real = [Double](repeating: 0, count: size)
        var imaginary = real
        for k in 0..<length {
            for place in [k, (size - k) % size] {
                real[place] = cos(chirp[k])
                imaginary[place] = -sin(chirp[k])
            }
        }
        Self.transform(&real, &imaginary)
        kernelReal = real.map { Float($0 / Double(size)) }
        kernelImaginary = imaginary.map { Float($0 / Double(size)) }
    }

    private static func isPower(_ length: Int) -> Bool { length & (length - 1) == 0 }

    /// The power of two that a length is transformed in.
    private static func size(_ length: Int) -> Int {
        var size = 1
        while size < (isPower(length) ? length : 2 * length - 1) { size *= 2 }
        return size
    }

    /// Floats of scratch that the transform of a length works in.
    static func scratchFloats(_ length: Int) -> Int { 4 * size(length) * ZooLimits.transformLanes }

    /// Bytes of the tables of a length.
    static func tableBytes(_ length: Int) -> Int {
        4 * (2 * size(length) + (isPower(length) ? 0 : 2 * (length + size(length))))
    }

    /// Floats of scratch that ``run(_:kernels:)`` works in.
    var scratchFloats: Int { Self.scratchFloats(length) }

    /// Where the real and the imaginary parts of the input belong in the scratch, `[length][lanes]` each.
    func parts(
        _ scratch: UnsafeMutablePointer<Float>
    ) -> (real: UnsafeMutablePointer<Float>, imaginary: UnsafeMutablePointer<Float>) {
        (scratch, scratch + size * ZooLimits.transformLanes)
    }

    /// Transforms what lies in ``parts(_:)``; returns where the result is, `[length][lanes]` each.
    func run(
        _ scratch: UnsafeMutablePointer<Float>, kernels: KernelTable
    ) -> (real: UnsafePointer<Float>, imaginary: UnsafePointer<Float>) {
        let plane = size * ZooLimits.transformLanes
        let first = (scratch, scratch + plane)
        let second = (scratch + 2 * plane, scratch + 3 * plane)
        func power(
            _ from: (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>),
            _ other: (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>)
        ) -> Bool {
            kernels.transform(from.0, from.1, other.0, other.1, cosine: cosine, sine: sine, length: size)
        }
        if chirpReal.isEmpty {
            let result = power(first, second) ? second : first
            return (UnsafePointer(result.0), UnsafePointer(result.1))
        }
        Self.rotate(first, by: chirpReal, chirpImaginary, conjugates: false)
        (first.0 + length * ZooLimits.transformLanes).update(
            repeating: 0, count: (size - length) * ZooLimits.transformLanes)
        (first.1 + length * ZooLimits.transformLanes).update(
            repeating: 0, count: (size - length) * ZooLimits.transformLanes)
        let (middle, spare) = power(first, second) ? (second, first) : (first, second)
        // The inverse transform is the conjugate of the forward transform of the conjugate.
        Self.rotate(middle, by: kernelReal, kernelImaginary, conjugates: true)
        let result = power(middle, spare) ? spare : middle
        Self.conjugate(result.1, count: length)
        Self.rotate(result, by: chirpReal, chirpImaginary, conjugates: false)
        return (UnsafePointer(result.0), UnsafePointer(result.1))
    }

    /// Multiplies each row of lanes by a complex number.
    private static func rotate(
        _ parts: (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>), by real: [Float], _ imaginary: [Float],
        conjugates: Bool
    ) {
        let sign: Float = conjugates ? -1 : 1
        parts.0.withMemoryRebound(to: Lanes.self, capacity: real.count) { x in
            parts.1.withMemoryRebound(to: Lanes.self, capacity: real.count) { y in
                for row in real.indices {
                    let (a, b) = (x[row], y[row])
                    x[row] = a * real[row] - b * imaginary[row]
                    y[row] = (a * imaginary[row] + b * real[row]) * sign
                }
            }
        }
    }

    private static func conjugate(_ imaginary: UnsafeMutablePointer<Float>, count: Int) {
        imaginary.withMemoryRebound(to: Lanes.self, capacity: count) { y in
            for row in 0..<count { y[row] = -y[row] }
        }
    }

    /// The transform of a power of two in place, for tables: bit reversal, then butterflies.
    private static func transform(_ real: inout [Double], _ imaginary: inout [Double]) {
        let n = real.count
        var j = 0
        for i in 1..<max(1, n) {
            var bit = n >> 1
            while j & bit != 0 {
                j ^= bit
                bit >>= 1
            }
            j |= bit
            if i < j {
                real.swapAt(i, j)
                imaginary.swapAt(i, j)
            }
        }
        var half = 1
        while half < n {
            for k in 0..<half {
                let angle = -Double.pi * Double(k) / Double(half)
                let (c, s) = (cos(angle), sin(angle))
                for start in stride(from: k, to: n, by: 2 * half) {
                    let x = real[start + half] * c - imaginary[start + half] * s
                    let y = real[start + half] * s + imaginary[start + half] * c
                    (real[start + half], imaginary[start + half]) = (real[start] - x, imaginary[start] - y)
                    real[start] += x
                    imaginary[start] += y
                }
            }
            half *= 2
        }
    }
}
