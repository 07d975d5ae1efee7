import AttentionCore
import TensorCore
import Testing

/// Every refusal of operands and problems, by its literal text.
@Suite struct ProblemValidationTests {
    /// Good operands: two sequences, 3 queries, 5 keys, 4 heads on 2 key heads, 8 wide, values 6 wide.
    private static func inputs() -> AttentionInputs {
        AttentionInputs(
            query: Tensor(zeros: [2, 3, 4, 8]), key: Tensor(zeros: [2, 5, 2, 8]), value: Tensor(zeros: [2, 5, 2, 6]))
    }

    private func message(
        options: AttentionOptions = .init(), _ change: (inout AttentionInputs) -> Void = { _ in }
    ) -> String? {
        var inputs = Self.inputs()
        change(&inputs)
        do throws(AttentionError) {
            _ = try AttentionProblem(inputs, options: options)
            return nil
        } catch {
            return error.description
        }
    }

    @Test func goodOperandsMakeTheirProblem() throws {
        let problem = try AttentionProblem(Self.inputs(), options: .init(mask: .causal))
        let expected = AttentionProblem(
            batch: 2, queryLength: 3, keyLength: 5, heads: 4, kvHeads: 2, headDim: 8, valueDim: 6,
            options: .init(mask: .causal))
        #expect(problem == expected)
        #expect(
            problem.description
                == "query [2, 3, 4, 8], key [2, 5, 2, 8], value [2, 5, 2, 6] F32, causal, cross-length, "
                + "grouped-query, value-dim")
    }

    @Test func shapes() {
        #expect(
            message { $0.query = Tensor(zeros: [3, 4, 8]) }
                == "query has shape [3, 4, 8]; expected [batch, queryLength, heads, headDim]")
        #expect(
            message { $0.key = Tensor(zeros: [2, 5, 2, 7]) }
                == "key has shape [2, 5, 2, 7]; expected [2, keyLength, kvHeads, 8]")
        #expect(
            message { $0.key = Tensor(zeros: [1, 5, 2, 8]) }
                == "key has shape [1, 5, 2, 8]; expected [2, keyLength, kvHeads, 8]")
        #expect(
            message { $0.value = Tensor(zeros: [2, 4, 2, 6]) }
                == "value has shape [2, 4, 2, 6]; expected [2, 5, 2, valueDim]")
        #expect(
            message { $0.value = Tensor(zeros: [2, 5, 2, 0]) }
                == "value has shape [2, 5, 2, 0]; expected a head of at least 1")
        #expect(
            message { $0.query = Tensor(zeros: [2, 3, 0, 8]) }
                == "query has shape [2, 3, 0, 8]; expected at least one head of at least 1")
        #expect(
            message {
                $0.key = Tensor(zeros: [2, 5, 3, 8])
                $0.value = Tensor(zeros: [2, 5, 3, 6])
            } == "key has shape [2, 5, 3, 8]; expected a number of kvHeads that divides the 4 heads")
    }

    @Test func elementTypesAndStrides() throws {
        #expect(
            message { $0.query = Tensor(zeros: [2, 3, 4, 8], dtype: .int32) }
                == "query holds I32 elements; expected F32, F16, BF16, F64")
        #expect(
            message { $0.value = Tensor(zeros: [2, 5, 2, 6], dtype: .float16) }
                == "value holds F16 elements; expected F32")
        let transposed = try Tensor(zeros: [2, 3, 8, 4]).permuted([0, 1, 3, 2])
        #expect(
            message { $0.query = transposed }
                == "query: the last dimension has stride 4; expected 1, so call contiguous()")
    }

    @Test func modifiers() {
        #expect(
            message { $0.bias = Tensor(zeros: [4, 3, 4]) }
                == "bias has shape [4, 3, 4]; expected a shape that broadcasts to [2, 4, 3, 5]")
        #expect(
            message { $0.bias = Tensor(zeros: [1, 2, 4, 3, 5]) }
                == "bias has shape [1, 2, 4, 3, 5]; expected a shape that broadcasts to [2, 4, 3, 5]")
        #expect(message { $0.bias = Tensor(zeros: [4, 1, 5], dtype: .float64) } == nil)
        #expect(
            message { $0.bias = Tensor(zeros: [5], dtype: .int8) }
                == "bias holds I8 elements; expected F32, F16, BF16, F64")
        #expect(
            message { $0.mask = Tensor(zeros: [3, 5]) } == "mask holds F32 elements; expected BOOL, U8")
        #expect(
            message { $0.mask = Tensor(zeros: [2, 3, 5], dtype: .bool) }
                == "mask has shape [2, 3, 5]; expected a shape that broadcasts to [2, 4, 3, 5]")
        #expect(
            message { $0.alibiSlopes = [1, 2] } == "alibi_slopes has shape [2]; expected [4], one for each head")
        #expect(
            message { $0.alibiSlopes = [1, 2, -.infinity, 3] } == "alibi_slopes is -inf; expected finite numbers")
        #expect(message { $0.sinks = [0, 1, .nan, 0] } == "sinks is nan; expected finite numbers")
        #expect(message { $0.sinks = [0, 1, -.infinity, 0] } == nil)
    }

    @Test func lengths() {
        #expect(message { $0.keyLengths = [5] } == "key_lengths has shape [1]; expected [2], one for each sequence")
        #expect(message { $0.keyLengths = [5, 6] } == "key_lengths is 6; expected lengths from 0 to 5")
        #expect(message { $0.queryLengths = [-1, 3] } == "query_lengths is -1; expected lengths from 0 to 3")
        #expect(
            message {
                $0.queryLengths = [0, 3]
                $0.keyLengths = [5, 0]
            } == nil)
    }

    @Test func options() {
        #expect(message(options: .init(scale: .infinity)) == "option 'scale' is inf; expected a finite number")
        #expect(message(options: .init(softcap: 0)) == "option 'softcap' is 0.0; expected a finite number above 0")
        #expect(
            message(options: .init(dropout: 1)) == "option 'dropout' is 1.0; expected a probability from 0 to below 1")
        #expect(
            message(options: .init(mask: .not(.window(left: -2, right: 0))))
                == "option 'window' is -2; expected [left, right] from 0 up, or -1 for unlimited")
        #expect(
            message(options: .init(mask: .window(left: Int.max, right: 0)))
                == "option 'window' is 9223372036854775807; expected [left, right] from 0 up, or -1 for unlimited")
        #expect(
            message(options: .init(mask: .or([.causal, .prefix(length: -1)])))
                == "option 'prefix' is -1; expected a length from 0 up")
    }

    @Test func problemsWithoutData() throws {
        func message(_ problem: AttentionProblem) -> String? {
            do throws(AttentionError) {
                try problem.validate()
                return nil
            } catch {
                return error.description
            }
        }
        #expect(message(AttentionProblem(queryLength: 4, heads: 8, kvHeads: 2, headDim: 64)) == nil)
        #expect(message(AttentionProblem(queryLength: 0, heads: 8, headDim: 64)) == nil)
        #expect(
            message(AttentionProblem(queryLength: 4, heads: 8, kvHeads: 3, headDim: 64))
                == "kvHeads is 3; expected a divisor of the 8 heads")
        #expect(message(AttentionProblem(queryLength: 4, heads: 0, headDim: 64)) == "heads is 0; expected at least 1")
        #expect(
            message(AttentionProblem(queryLength: -4, heads: 1, headDim: 64))
                == "queryLength is -4; expected at least 0")
        #expect(
            message(AttentionProblem(queryLength: 4, keyLength: 1 << 60, heads: 8, headDim: 64))
                == "keyLength is 1152921504606846976; expected tensors that fit an address space")
        #expect(
            message(AttentionProblem(queryLength: 4, heads: 1, headDim: 64, dtype: .int8))
                == "query holds I8 elements; expected F32, F16, BF16, F64")
        #expect(
            message(AttentionProblem(queryLength: 4, heads: 1, headDim: 64, keyLengths: [5]))
                == "key_lengths is 5; expected lengths from 0 to 4")
    }

    @Test func usefulFlopsCountVisiblePairs() {
        var problem = AttentionProblem(batch: 2, queryLength: 3, keyLength: 5, heads: 4, headDim: 8, valueDim: 6)
        #expect(problem.usefulFlops == Double(2 * 3 * 5 * 4 * 2 * (8 + 6)))
        problem.options.mask = .causal
        #expect(problem.usefulFlops == Double(2 * (3 + 4 + 5) * 4 * 2 * (8 + 6)))
        problem.options.mask = .or([.causal, .prefix(length: 4)])
        #expect(problem.usefulFlops == Double(2 * (4 + 4 + 5) * 4 * 2 * (8 + 6)))
        problem.keyLengths = [5, 2]
        problem.options.mask = .full
        #expect(problem.usefulFlops == Double(3 * (5 + 2) * 4 * 2 * (8 + 6)))
    }
}
