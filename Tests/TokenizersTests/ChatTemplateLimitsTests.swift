import Foundation
import Testing
import Tokenizers

/// What chat templates are refused for, and when.
@Suite struct ChatTemplateLimitsTests {
    private static func render(_ source: String) throws -> String {
        try ChatTemplate(source, name: "t").render(messages: [ChatMessage(role: "user", content: "x")])
    }

    /// Refused when the template is read, with line and construct.
    @Test(arguments: [
        ("a\n{% include 'x' %}", "t, line 2: the statement 'include' is not supported"),
        ("{% block x %}{% endblock %}", "t, line 1: the statement 'block' is not supported"),
        ("\n\n{{ x | pprint }}", "t, line 3: the filter 'pprint' is not supported"),
        ("{{ x is escaped }}", "t, line 1: the test 'escaped' is not supported"),
        ("{% if false %}\n{{ x.append(1) }}{% endif %}", "t, line 2: the method 'append' is not supported"),
        ("{{ lipsum() }}", "t, line 1: the function 'lipsum' is not supported"),
        ("{{ x | join(',', extra=1) }}", "t, line 1: the argument 'extra' of the filter 'join' is not supported"),
        ("{% for x in y recursive %}{% endfor %}", "t, line 1: a recursive loop is not supported"),
        ("{{ f(*x) }}", "t, line 1: an unpacked argument is not supported"),
        ("{{ x[1, 2] }}", "t, line 1: a subscript of several values is not supported"),
        ("{% if x %}", "t, line 1: the template ends before elif or else or endif"),
        ("{% endif %}", "t, line 1: endif without its beginning"),
        ("{{ 1 + }}", "t, line 1: expected a value, found }}"),
        ("{{ x", "t, line 1: a tag without end"),
        ("{{ 'x }}", "t, line 1: a string without end"),
        ("{# x", "t, line 1: a comment without end"),
        ("{{ (1] }}", "t, line 1: ']' without its opening bracket"),
        ("{{ 1 ? 2 }}", "t, line 1: the character '?'"),
        ("{% break %}", "t, line 1: break outside of a loop"),
        ("{{ 'a' | trim(1, 2) }}", "t, line 1: too many arguments of the filter 'trim'"),
    ])
    func refusedWhenRead(source: String, expected: String) throws {
        let error = #expect(throws: ChatTemplateError.self) { _ = try ChatTemplate(source, name: "t") }
        #expect(try #require(error).description == expected)
    }

    @Test(arguments: [
        ("\n{{ raise_exception('not so') }}", "t, line 2: the template refuses: not so"),
        ("{{ a.b }}", "t, line 1: 'a' is undefined, so it has no field 'b'"),
        ("{{ 1 + 'a' }}", "t, line 1: + of values of types int and str"),
        ("{{ 9223372036854775807 + 1 }}", "t, line 1: a number that is too large"),
    ])
    func refusedWhenRun(source: String, expected: String) throws {
        let error = #expect(throws: ChatTemplateError.self) { _ = try Self.render(source) }
        #expect(try #require(error).description == expected)
    }

    /// Work that would never end, or fill the memory, ends soon.
    @Test(arguments: [
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
        "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
        "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
        "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
        "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
            + "{{ n.x | tojson }}",
        "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = {'a': n.x, 'b': n.x} %}{% endfor %}"
            + "{{ n.x == n.x }}",
        "{% set n = namespace(x=[]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}{% endfor %}",
        "{{ 'a' * 99999999999 }}", "{{ [1] * 99999999999 }}", "{{ range(999999999) | list }}",
        "{{ 'aaaaaaaaaa' | replace('', 'b' * 99999999) }}", "{{ 'x' | indent(9) | replace('x', 'y' * 300000000) }}",
        "{% set x = 'a' * 20000 %}{% for i in range(99999) %}{{ x }}{% endfor %}",
        "{% set x = range(9999) | list %}{% for i in range(99999) %}{{ i in x }}{% endfor %}",
    ])
    func workIsBounded(source: String) throws {
        let clock = ContinuousClock()
        let start = clock.now
        let error = #expect(throws: ChatTemplateError.self) { _ = try Self.render(source) }
        guard case .tooCostly = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(clock.now - start < .seconds(60))
    }

    /// What could exhaust the stack when it is read, run or let go.
    @Test func nestingIsBounded() throws {
        let deep = 20_000
        func nested(_ open: String, _ middle: String, _ close: String) -> String {
            String(repeating: open, count: deep) + middle + String(repeating: close, count: deep)
        }
        let sources = [
            "{{ " + nested("(", "1", ")") + " }}", "{{ " + nested("[", "1", "]") + " }}",
            "{{ " + nested("-", "1", "") + " }}", "{{ " + nested("not ", "1", "") + " }}",
            "{{ 1" + nested(" + 1", "", "") + " }}", "{{ x" + nested(".x", "", "") + " }}",
            "{{ x" + nested("|trim", "", "") + " }}", nested("{% if x %}", "1", "{% endif %}"),
            "{{ " + nested("1 if x else ", "1", "") + " }}", "{{ " + nested("{1: ", "1", "}") + " }}",
            "{% for " + nested("(", "a", ")") + " in x %}{% endfor %}", "{{ 1" + nested(" and 1", "", "") + " }}",
        ]
        for source in sources {
            #expect(throws: ChatTemplateError.self, "\(source.prefix(40))") { _ = try ChatTemplate(source) }
        }
        // A chain of namespaces, and ones that hold themselves.
        let chain =
            "{% set n = namespace(x=1) %}{% for i in range(50000) %}{% set n.x = namespace(x=n.x) %}{% endfor %}ok"
        #expect(try Self.render(chain) == "ok")
        let ring = "{% set n = namespace() %}{% set n.n = n %}{{ n.n.n == n }}"
        #expect(try Self.render(ring) == "True")
    }

    @Test func timeIsTheCallers() throws {
        let template = try ChatTemplate("{{ strftime_now('%Y-%m-%d %H:%M|%d %b %Y') }}")
        let seconds = 1_893_499_200.0
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.dateFormat = "yyyy-MM-dd HH:mm'|'dd MMM yyyy"
        #expect(
            try template.render(messages: [], secondsSince1970: seconds)
                == formatter.string(from: Date(timeIntervalSince1970: seconds)))
        #expect(try !template.render(messages: []).isEmpty)
    }

    /// Templates cut short and with characters changed: refused or run, never a crash.
    @Test func brokenTemplates() throws {
        let folder = Fixtures.path("chat/templates")
        var random = Seeded(state: 9)
        let spice = Array("{}%#'\"()[]|.,-+~*=<>:_ \n019ai\\\u{301}")
        for name in try FileManager.default.contentsOfDirectory(atPath: folder).sorted() {
            let source = Array(try String(contentsOfFile: folder + "/" + name, encoding: .utf8))
            for _ in 0..<400 {
                var broken = source
                if Bool.random(using: &random) {
                    broken = Array(broken[..<Int.random(in: 0..<broken.count, using: &random)])
                }
                for _ in 0..<Int.random(in: 0..<4, using: &random) where !broken.isEmpty {
                    broken[Int.random(in: 0..<broken.count, using: &random)] =
                        spice.randomElement(using: &random) ?? " "
                }
                _ = try? Self.render(String(broken))
            }
        }
    }
}
