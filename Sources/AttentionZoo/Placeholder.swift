// AttentionZoo
