// TransformerBlocksTests
