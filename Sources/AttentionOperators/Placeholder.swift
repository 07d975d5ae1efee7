// AttentionOperators
