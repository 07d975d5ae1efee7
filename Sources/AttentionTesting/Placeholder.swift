// AttentionTesting
