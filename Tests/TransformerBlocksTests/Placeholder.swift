import Testing
// TransformerBlocksTests
