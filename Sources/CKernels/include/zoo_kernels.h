int zoo_placeholder(void);
