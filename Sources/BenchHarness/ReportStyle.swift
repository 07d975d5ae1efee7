/// The look of a report.
enum ReportStyle {
    /// The style sheet: system fonts and two sets of colours.
    static var text: String {
        let light = Palette.light.enumerated().map { "--s\($0): \($1);" }.joined(separator: " ")
        let dark = Palette.dark.enumerated().map { "--s\($0): \($1);" }.joined(separator: " ")
        let series = Palette.light.indices.map { ".s\($0) { --c: var(--s\($0)); }" }.joined(separator: " ")
        return """
            :root { color-scheme: light dark; --paper: #fbfbf9; --card: #ffffff; --ink: #1b1c1d; --soft: #5b6066;
              --rule: #e4e5e3; --edge: #9aa0a6; --bad: #b3261e; \(light) }
            @media (prefers-color-scheme: dark) { :root { --paper: #141517; --card: #1c1e21; --ink: #e9eaeb;
              --soft: #a5abb2; --rule: #31343a; --edge: #777e87; --bad: #ff8a80; \(dark) } }
            \(series)
            body { margin: 0 auto; padding: 32px 24px 64px; max-width: 1140px; background: var(--paper); color: var(--ink);
              font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
            h1 { font-size: 26px; line-height: 1.2; margin: 0 0 8px; } h2 { font-size: 19px; margin: 40px 0 4px; }
            p { margin: 0 0 14px; color: var(--soft); max-width: 110ch; } .lede { color: var(--ink); font-size: 16px; }
            .wrong { color: var(--bad); font-weight: 600; }
            .facts { list-style: none; margin: 0; padding: 0; color: var(--soft); font-size: 13px; }
            .legend { list-style: none; display: flex; flex-wrap: wrap; gap: 6px 20px; margin: 24px 0 0; padding: 8px 0;
              position: sticky; top: 0; background: var(--paper); border-bottom: 1px solid var(--rule); z-index: 1; }
            .legend li { display: flex; align-items: center; gap: 6px; } .legend svg { width: 16px; height: 16px; }
            .grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 16px; }
            figure { margin: 0; padding: 12px 14px; background: var(--card); border: 1px solid var(--rule);
              border-radius: 8px; min-width: 0; }
            figcaption { font-weight: 600; margin-bottom: 4px; } svg { display: block; width: 100%; height: auto; }
            line.grid { stroke: var(--rule); stroke-width: 1; } line.axis { stroke: var(--edge); stroke-width: 1; }
            text { fill: var(--soft); font-size: 12px; } text.name, text.value { fill: var(--ink); }
            text.value { paint-order: stroke; stroke: var(--card); stroke-width: 4px; }
            .line { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
            .mark { fill: var(--c); stroke: var(--card); stroke-width: 1.2; } .mark:hover, .bar:hover { opacity: 0.7; }
            .bar { fill: var(--c); } .limit { fill: var(--ink); } .float { fill: var(--edge); }
            .scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--rule); border-radius: 8px; }
            table { border-collapse: collapse; font-size: 13px; width: 100%; }
            th, td { padding: 3px 10px; white-space: nowrap; font-variant-numeric: tabular-nums; }
            thead th { border-bottom: 1px solid var(--edge); } .num { text-align: right; } .text { text-align: left; }
            tr.first th, tr.first td { border-top: 1px solid var(--rule); padding-top: 6px; }
            .reason { color: var(--soft); white-space: normal; }
            """
    }
}
