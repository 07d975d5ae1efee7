/// An expression, and the line it stands on.
struct JinjaExpression: Sendable {
    indirect enum Kind: Sendable {
        case constant(JinjaValue)
        case name(String)
        case list([JinjaExpression], isTuple: Bool)
        case dictionary([(key: JinjaExpression, value: JinjaExpression)])
        case attribute(JinjaExpression, String)
        case item(JinjaExpression, JinjaExpression)
        case slice(JinjaExpression, JinjaExpression?, JinjaExpression?, JinjaExpression?)
        case call(JinjaExpression, JinjaArguments)
        case filter(JinjaExpression, String, JinjaArguments)
        case test(JinjaExpression, String, JinjaArguments)
        case negated(JinjaExpression)
        case minus(JinjaExpression)
        case plus(JinjaExpression)
        case binary(String, JinjaExpression, JinjaExpression)
        case and(JinjaExpression, JinjaExpression)
        case or(JinjaExpression, JinjaExpression)
        /// `a < b <= c`: operators and right sides.
        case comparison(JinjaExpression, [(operation: String, right: JinjaExpression)])
        case conditional(JinjaExpression, condition: JinjaExpression, otherwise: JinjaExpression?)
    }

    let kind: Kind
    let line: Int
}

/// What stands between the brackets of a call.
struct JinjaArguments: Sendable {
    var positional: [JinjaExpression] = []
    var named: [(name: String, value: JinjaExpression)] = []
}

/// Where an assignment goes.
indirect enum JinjaTarget: Sendable {
    case name(String)
    /// A field of a namespace.
    case field(String, String)
    case tuple([JinjaTarget])
}

/// A statement, and the line it stands on.
struct JinjaStatement: Sendable {
    indirect enum Kind: Sendable {
        case text(String)
        case output(JinjaExpression)
        case condition([(test: JinjaExpression, body: [JinjaStatement])], otherwise: [JinjaStatement])
        case loop(JinjaLoop)
        case assign(JinjaTarget, JinjaExpression)
        /// A block whose text is assigned, after filters.
        case capture(JinjaTarget, [JinjaStatement], filters: [(name: String, arguments: JinjaArguments)])
        case macro(JinjaMacro)
        /// Statements with a scope of their own.
        case scope([JinjaStatement])
        case leave
        case again
    }

    let kind: Kind
    let line: Int
}

/// A `for` statement.
struct JinjaLoop: Sendable {
    let target: JinjaTarget
    let items: JinjaExpression
    let condition: JinjaExpression?
    let body: [JinjaStatement]
    let otherwise: [JinjaStatement]
}

/// A `macro` statement.
struct JinjaMacro: Sendable {
    let name: String
    let parameters: [(name: String, preset: JinjaExpression?)]
    let body: [JinjaStatement]
}
