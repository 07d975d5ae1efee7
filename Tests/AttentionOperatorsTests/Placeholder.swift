// AttentionOperatorsTests
