import Testing
// TokenizersTests
