import AttentionCore
import Testing

@Suite struct NearestNameTests {
    private let names = [
        "full", "flash", "flash_attention", "local", "memory-efficient", "grouped-query", "gqa", "mqa",
    ]

    @Test(arguments: [
        ("flahs", ["flash"]),  // a swap
        ("lfahs", ["flash"]),  // two swaps: four edits without them
        ("FLASH", ["flash"]),  // case
        ("flsh", ["flash"]),  // a letter missing
        ("fulll", ["full"]),
        ("locall", ["local"]),
        ("xqa", ["gqa", "mqa"]),  // ties by name
        ("mga", ["mqa", "gqa"]),  // nearest first
        ("memory-eficient", ["memory-efficient"]),
        ("memery-efishent", ["memory-efficient"]),  // a third of the name may be wrong
        ("quantum", []),
        ("x", []),
        ("", []),
    ])
    func suggestsNearNames(_ wrong: String, _ expected: [String]) {
        #expect(NearestName.suggestions(for: wrong, among: names) == expected)
    }

    @Test func givesAtMostThreeNearestFirst() {
        let known = ["aaab", "aabb", "aaaa", "aaac", "aaad"]
        #expect(NearestName.suggestions(for: "aaaa", among: known) == ["aaaa", "aaab", "aaac"])
    }
}
