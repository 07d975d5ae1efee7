import BenchHarness
import Testing

@Suite struct MeasurementTests {
    @Test func statisticsOfKnownSamples() throws {
        let odd = try #require(Measurement(samples: [5, 1, 3, 2, 4]))
        #expect(odd.median == 3)
        #expect(odd.min == 1)
        #expect(odd.max == 5)
        #expect(odd.samples == 5)
        // Quartiles 2 and 4.
        #expect(odd.spread == 2.0 / 3.0)
        let even = try #require(Measurement(samples: [4, 1, 2, 10], callsPerSample: 7))
        #expect(even.median == 3)
        #expect(even.callsPerSample == 7)
        // Quartiles 1.75 and 5.5, interpolated.
        #expect(even.spread == 3.75 / 3)
    }

    @Test func oneSampleAndNone() throws {
        let one = try #require(Measurement(samples: [0.5]))
        #expect(one.median == 0.5)
        #expect(one.spread == 0)
        #expect(Measurement(samples: []) == nil)
    }

    /// A clock that a subject moves by what it costs.
    private final class Clock {
        var time = 0.0
        var calls: [Int] = []
    }

    @Test func subjectsTakeTurnsInRotatingOrder() {
        let clock = Clock()
        var timer = AlternatingTimer(budgetSeconds: 0)
        timer.minimumRounds = 3
        let samples = timer.measure(estimates: [1, 1, 1], clock: { clock.time }) { index in
            clock.calls.append(index)
            clock.time += Double(index + 1) / 64
        }
        #expect(clock.calls == [0, 1, 2, 1, 2, 0, 2, 0, 1])
        #expect(samples.map(\.seconds) == [1.0, 2, 3].map { Array(repeating: $0 / 64, count: 3) })
    }

    @Test func shortCallsAreTimedTogether() {
        let clock = Clock()
        var timer = AlternatingTimer(budgetSeconds: 100)
        timer.maximumRounds = 2
        timer.minimumSampleSeconds = 0.002
        let samples = timer.measure(estimates: [0.0005, 0.5], clock: { clock.time }) { index in
            clock.calls.append(index)
            clock.time += index == 0 ? 0.0005 : 0.5
        }
        #expect(samples.map(\.callsPerSample) == [4, 1])
        #expect(clock.calls.filter { $0 == 0 }.count == 8)
        #expect(samples[0].seconds.allSatisfy { abs($0 - 0.0005) < 1e-9 })
    }

    @Test func budgetEndsTheRounds() {
        let clock = Clock()
        let slow = AlternatingTimer(budgetSeconds: 10)
        let few = slow.measure(estimates: [4], clock: { clock.time }) { _ in clock.time += 4 }
        #expect(few[0].seconds.count == 3)
        // A subject far beyond the budget is not run again for the sake of a median.
        let one = slow.measure(estimates: [40], clock: { clock.time }) { _ in clock.time += 40 }
        #expect(one[0].seconds.count == 1)
        let none = slow.measure(estimates: [], clock: { clock.time }) { _ in clock.time += 1 }
        #expect(none.isEmpty)
    }

    @Test func quantitiesReadWell() {
        #expect(Quantity.seconds(0.000_183_4) == "183 µs")
        #expect(Quantity.seconds(0.012_34) == "12.3 ms")
        #expect(Quantity.seconds(2.5) == "2.50 s")
        #expect(Quantity.bytes(512) == "512 B")
        #expect(Quantity.bytes(1_572_864) == "1.50 MiB")
        #expect(Quantity.percent(0.7123) == "71.2 %")
        #expect(Quantity.percent(.nan) == "-")
        #expect(Quantity.error(3.14e-7) == "3.1e-07")
        #expect(Quantity.error(0) == "0")
    }
}
