import AttentionCore
import Testing

@Suite struct OperatorRegistryTests {
    private func message(_ body: () throws(AttentionError) -> Void) -> String? {
        do throws(AttentionError) {
            try body()
            return nil
        } catch {
            return error.description
        }
    }

    @Test func findsByIdAndAlias() throws {
        let registry = try OperatorRegistry.test()
        #expect(registry.entries.map(\.id) == ["full", "flash", "tuned", "narrow"])
        #expect(try registry.entry(named: "flash_attention").id == "flash")
        #expect(try registry["scaled_dot_product"].id == "full")
        #expect(try registry["flash"].operator is LeanOperator)
        #expect(try registry.capabilities(of: "narrow") == NarrowOperator.capabilities)
        #expect(try registry.options(of: "tuned").map(\.name) == ["chunk", "mode", "ratio"])
    }

    @Test func optionsReachTheOperatorOverItsDefaults() throws {
        let made = try OperatorRegistry.test().make("tuned", configuration: ["chunk": 8])
        let tuned = try #require(made.operator as? TunedOperator)
        #expect(tuned.configuration.chunk == 8)
        #expect(tuned.configuration.mode == "exact")
        #expect(made.configuration == ["chunk": 8])
    }

    @Test func commonOptionsAreNotAnOperatorsOwn() throws {
        let registry = try OperatorRegistry.test()
        #expect(
            message { () throws(AttentionError) in _ = try registry.make("tuned", configuration: ["causal": true]) }
                == "option 'causal' is true; expected a place among the common options, not among those of tuned")
    }

    @Test func aNameIsTakenOnce() throws {
        var registry = try OperatorRegistry.test()
        let before = registry.entries
        #expect(
            message { () throws(AttentionError) in
                try registry.register(PlainOperator.self, as: .test("flash", type: "OtherFlash"))
            } == "the name 'flash' is taken by TestOperator, so OtherFlash cannot have it")
        #expect(
            message { () throws(AttentionError) in
                try registry.register(
                    PlainOperator.self, as: .test("new", type: "New", aliases: ["fine", "scaled_dot_product"]))
            } == "the name 'scaled_dot_product' is taken by TestOperator, so New cannot have it")
        #expect(
            message { () throws(AttentionError) in
                try registry.register(PlainOperator.self, as: .test("twice", type: "Twice", aliases: ["twice"]))
            } == "the name 'twice' is taken by Twice, so Twice cannot have it")
        #expect(
            message { () throws(AttentionError) in
                try registry.register(PlainOperator.self, as: .test("auto", type: "Auto"))
            } == "the name 'auto' is taken by the automatic choice, so Auto cannot have it")
        #expect(registry.entries == before)
        #expect(message { () throws(AttentionError) in _ = try registry["fine"] } != nil)
    }

    @Test(arguments: ["Flash", "", "2d", "a--b", "-a", "a-", "a b", "flásh", "null"])
    func namesAreLowerCaseWords(_ name: String) {
        var registry = OperatorRegistry()
        #expect(
            message { () throws(AttentionError) in
                try registry.register(PlainOperator.self, as: .test(name, type: "T"))
            } == "the name of T is '\(name)'; expected lower-case letters and digits in words joined by '-' or '_', "
                + "a letter first")
    }

    @Test func anEmptyRegistrySaysSo() {
        let registry = OperatorRegistry()
        #expect(
            message { () throws(AttentionError) in _ = try registry["flash"] }
                == "no operator is called 'flash'; there are none")
    }

    @Test func theRegistryNamesItselfInRefusals() throws {
        let problem = AttentionProblem(queryLength: 4, heads: 2, headDim: 128, options: .init(mask: .causal))
        let reasons = try OperatorRegistry.test()["narrow"].unsupportedReasons(for: problem)
        let error = AttentionError.unsupported(name: "narrow", problem: problem.description, reasons: reasons)
        #expect(
            error.description == """
                narrow cannot run query [1, 4, 2, 128], key [1, 4, 2, 128], value [1, 4, 2, 128] F32, causal:
                  - dtype: holds F32; convert to one of F16
                  - head-dim: is 128; use a head dimension from 8 to 64
                  - causal: is not supported; set causal to false
                """)
    }
}
