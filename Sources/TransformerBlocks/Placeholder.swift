// TransformerBlocks
