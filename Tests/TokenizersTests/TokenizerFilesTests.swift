import Foundation
import Testing
import Tokenizers

/// What the loader refuses, and with which words.
@Suite struct TokenizerFilesTests {
    private static let model = #""model":{"type":"WordPiece","unk_token":"[UNK]","vocab":{"[UNK]":0,"a":1}}"#

    private func message(_ files: [String: String]) throws -> String {
        try Fixtures.withDirectory(files) { (folder) throws in
            let error = #expect(throws: TokenizerError.self) { _ = try Tokenizer(directory: folder) }
            return try #require(error).description.replacing(folder, with: "DIR")
        }
    }

    @Test(arguments: [
        (
            #"{"model":{"type":"Unigram"}}"#,
            "DIR/tokenizer.json: model 'Unigram' is not supported; supported: BPE, WordPiece"
        ),
        (
            #"{"normalizer":{"type":"Nmt"},MODEL}"#,
            "DIR/tokenizer.json: normalizer 'Nmt' is not supported; supported: BertNormalizer, Lowercase, NFC, NFD, "
                + "NFKC, NFKD, Prepend, Replace, Sequence, Strip, StripAccents"
        ),
        (
            #"{"pre_tokenizer":{"type":"UnicodeScripts"},MODEL}"#,
            "DIR/tokenizer.json: pre-tokenizer 'UnicodeScripts' is not supported; supported: BertPreTokenizer, "
                + "ByteLevel, Digits, Metaspace, Punctuation, Sequence, Split, Whitespace, WhitespaceSplit"
        ),
        (
            #"{"post_processor":{"type":"Other"},MODEL}"#,
            "DIR/tokenizer.json: post-processor 'Other' is not supported; "
                + "supported: BertProcessing, ByteLevel, RobertaProcessing, Sequence, TemplateProcessing"
        ),
        (
            #"{"decoder":{"type":"CTC"},MODEL}"#,
            "DIR/tokenizer.json: decoder 'CTC' is not supported; supported: ByteFallback, ByteLevel, Fuse, Metaspace, "
                + "Replace, Sequence, Strip, WordPiece"
        ),
        (
            #"{"truncation":{"max_length":4,"strategy":"OnlySecond"},MODEL}"#,
            "DIR/tokenizer.json: truncation strategy 'OnlySecond' is not supported; supported: LongestFirst, OnlyFirst"
        ),
        (#"{}"#, "DIR/tokenizer.json: model is missing; expected a value"),
        (#"[1]"#, "DIR/tokenizer.json: the document is an array of 1; expected an object"),
        (#"{"a":1,}"#, "DIR/tokenizer.json: not JSON at byte 7: expected a key"),
        (
            #"{"model":{"type":"WordPiece","vocab":{"a":1}}}"#,
            "DIR/tokenizer.json: the vocabulary has no token '[UNK]', which is needed as the unknown token"
        ),
        (
            #"{"model":{"type":"WordPiece","vocab":{"[UNK]":-1}}}"#,
            "DIR/tokenizer.json: model.vocab.[UNK] is -1; expected a whole number from 0 to 2147483647"
        ),
        (
            #"{"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"B","type_id":0}}],"#
                + #""special_tokens":{}},MODEL}"#,
            "DIR/tokenizer.json: post_processor.single[0].Sequence.id is 'B'; expected 'A'"
        ),
        (
            #"{"added_tokens":[{"id":"x"}],MODEL}"#,
            "DIR/tokenizer.json: added_tokens[0].id is 'x'; expected a whole number from 0 to 2147483647"
        ),
    ])
    func refusals(json: String, expected: String) throws {
        #expect(try message(["tokenizer.json": json.replacing("MODEL", with: Self.model)]) == expected)
    }

    @Test func emptyDirectory() throws {
        #expect(try message([:]) == "DIR: holds neither tokenizer.json nor merges.txt nor vocab.txt")
    }

    @Test func vocabularyFiles() throws {
        let words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\r\nH\nh\n"
        try Fixtures.withDirectory(["vocab.txt": words]) { (folder) throws in
            let tokenizer = try Tokenizer(directory: folder)
            #expect(try tokenizer.encode("H Hello [SEP]").ids == [2, 6, 4, 3, 3])
        }
        let cased = ["vocab.txt": words, "tokenizer_config.json": #"{"do_lower_case":false}"#]
        try Fixtures.withDirectory(cased) { (folder) throws in
            #expect(try Tokenizer(directory: folder).encode("H hello").ids == [2, 5, 4, 3])
        }
        #expect(
            try message(["vocab.txt": "[UNK]\n[CLS]\n"])
                == "DIR/vocab.txt: the vocabulary has no token '[SEP]', which is needed as sep_token")
        #expect(
            try message(["vocab.txt": words, "tokenizer_config.json": #"{"tokenizer_class":"GPT2Tokenizer"}"#])
                == "DIR/tokenizer_config.json: tokenizer_class 'GPT2Tokenizer' is not supported; "
                + "supported: BertTokenizer, BertTokenizerFast")
    }

    /// OPT's files say the same as its `tokenizer.json`.
    @Test func mergesFiles() throws {
        let document = try JSONSerialization.jsonObject(
            with: Data(contentsOf: Fixtures.directory.appendingPathComponent("bpe/opt.json")))
        let model = try #require((document as? [String: Any])?["model"] as? [String: Any])
        let vocabulary = try JSONSerialization.data(withJSONObject: try #require(model["vocab"]))
        let merges = try #require(model["merges"] as? [[String]]).map { $0.joined(separator: " ") }
        let settings =
            #"{"tokenizer_class":"GPT2Tokenizer","add_bos_token":true,"bos_token":"</s>","eos_token":"</s>","#
            + #""unk_token":{"content":"</s>"},"pad_token":"<pad>","add_prefix_space":false}"#
        let files = [
            "vocab.json": String(decoding: vocabulary, as: UTF8.self), "tokenizer_config.json": settings,
            "merges.txt": "#version: 0.2\n" + merges.joined(separator: "\n") + "\n",
        ]
        let whole = try Tokenizer(tokenizerFile: Fixtures.path("bpe/opt.json"))
        let lines: [String] = try Fixtures.decode("bpe/lines.json")
        try Fixtures.withDirectory(files) { (folder) throws in
            let tokenizer = try Tokenizer(directory: folder)
            // These two are special in the one file only.
            for line in lines where !line.contains("<s>") && !line.contains("<unk>") {
                #expect(try tokenizer.ids(of: line) == whole.ids(of: line), "\(line)")
            }
            #expect(try tokenizer.ids(of: "a</s><pad>").prefix(1) == [2])
        }
        let other = files.merging(["tokenizer_config.json": #"{"tokenizer_class":"CLIPTokenizer"}"#]) { $1 }
        #expect(
            try message(other)
                == "DIR/tokenizer_config.json: tokenizer_class 'CLIPTokenizer' is not supported; "
                + "supported: GPT2Tokenizer, GPT2TokenizerFast")
        #expect(
            try message(files.merging(["merges.txt": "a b\nabc\n"]) { $1 })
                == "DIR/merges.txt: line 2 is 'abc'; expected two tokens with a blank between them")
    }

    @Test func bertProcessing() throws {
        let json =
            #"{"post_processor":{"type":"BertProcessing","sep":["[SEP]",5],"cls":["[CLS]",4]},"#
            + Self.model + "}"
        try Fixtures.withDirectory(["tokenizer.json": json]) { (folder) throws in
            #expect(try Tokenizer(directory: folder).encode("a").ids == [4, 1, 5])
        }
    }

    /// Every prefix of a document, and every document with one byte changed, is refused or read; nothing crashes.
    @Test func brokenDocuments() throws {
        let json = Array((#"{"x":["é\n\ud83d\ude00",-1.5e3,true,null],"# + Self.model + "}").utf8)
        for index in json.indices {
            for byte: UInt8 in [0x00, 0x22, 0x5C, 0x7B, 0x7D, 0x39, 0xFF] {
                var broken = json
                broken[index] = byte
                _ = try? Tokenizer(json: broken)
            }
            #expect(throws: TokenizerError.self) { _ = try Tokenizer(json: Array(json[..<index])) }
        }
        let deep = Array((String(repeating: "[", count: 100_000)).utf8)
        #expect(throws: TokenizerError.self) { _ = try Tokenizer(json: deep) }
        #expect(try Tokenizer(json: json).encode("a").ids == [1])
    }
}
