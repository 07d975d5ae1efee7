import Testing
// AttentionOperatorsTests
