int zoo_placeholder(void) { return 0; }
