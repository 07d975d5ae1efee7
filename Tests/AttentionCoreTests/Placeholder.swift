import Testing
// AttentionCoreTests
