// The page's Markdown, in Node: `node --test Tools/web/`.

import assert from "node:assert/strict";
import { test } from "node:test";

import { build, parse, inline } from "../../Sources/YuyanServe/Web/markdown.js";
import { highlight } from "../../Sources/YuyanServe/Web/highlight.js";

/** Just enough of a document to see which elements and attributes come out. */
class FakeNode {
  constructor(tag, text = "") {
    Object.assign(this, { tag, text, children: [], attributes: {}, className: "" });
  }
  append(...nodes) { this.children.push(...nodes); }
  setAttribute(name, value) { this.attributes[name] = value; }
  set textContent(text) { this.children = [new FakeNode("#text", text)]; }
  get textContent() { return this.text + this.children.map((child) => child.textContent).join(""); }
  *[Symbol.iterator]() {
    yield this;
    for (const child of this.children) yield* child;
  }
}
globalThis.document = {
  createElement: (tag) => new FakeNode(tag),
  createTextNode: (text) => new FakeNode("#text", text),
};

const rendered = (text) => parse(text).flatMap((node) => [...build(node)]);
const outline = (node) => typeof node === "string" ? node
  : `${node.tag}(${(node.code ?? node.children.map(outline).join("|"))})`;
const outlines = (text) => parse(text).map(outline);

test("blocks become their elements", () => {
  assert.deepEqual(outlines("# One\n\ntext\nmore\n\n---\n> quoted\n> lines"),
    ["h2(One)", "p(text|br()|more)", "hr()", "blockquote(p(quoted|br()|lines))"]);
});

test("a heading or list ends the paragraph before it", () => {
  assert.deepEqual(outlines("text\n## Two ##\n- a\n- b"),
    ["p(text)", "h3(Two)", "ul(li(a)|li(b))"]);
});

test("lists nest, number from their start, and keep paragraphs of their own", () => {
  assert.deepEqual(outlines("3. a\n   - x\n   - y\n4. b"), ["ol(li(a|ul(li(x)|li(y)))|li(b))"]);
  assert.equal(parse("3. a")[0].start, 3);
  assert.deepEqual(outlines("- a\n\n  more\n- b"), ["ul(li(a|p(more))|li(b))"]);
  assert.deepEqual(outlines("1. a\n   ```py\n   x = 1\n   ```\n2. b"),
    ["ol(li(a|pre(x = 1))|li(b))"]);
});

test("code keeps every character, closed or still arriving", () => {
  const code = "a <b> & *c*\n\n  `d`";
  for (const end of ["\n```", ""]) {
    const [node] = parse("```swift\n" + code + end);
    assert.equal(node.code, code);
    assert.equal(node.language, "swift");
  }
  assert.equal(parse("````\n```\n````")[0].code, "```");
});

test("tables have cells, alignment and escaped bars", () => {
  const [node] = parse("| a | b |\n|:--|--:|\n| 1 | x \\| y |\n| only |");
  assert.equal(outline(node), "div(table(thead(tr(th(a)|th(b)))"
    + "|tbody(tr(td(1)|td(x | y))|tr(td(only)|td()))))");
  assert.equal(node.children[0].children[0].children[0].children[1].align, "right");
});

test("emphasis needs both of its ends", () => {
  const line = (text) => inline(text).map(outline).join("|");
  assert.equal(line("a **b *c* d** e"), "a |strong(b |em(c)| d)| e");
  assert.equal(line("2 * 3 * 4 and snake_case_name"), "2 * 3 * 4 and snake_case_name");
  assert.equal(line("**open and *never closed"), "**open and *never closed");
  assert.equal(line("~~old~~ \\*plain\\* `a*b*`"), "del(old)| *plain* |code(a*b*)");
  assert.equal(line("**粗体**和*斜体*。"), "strong(粗体)|和|em(斜体)|。");
});

test("links lead only to web and mail addresses", () => {
  const [, link] = inline("see [the *docs*](https://example.org/a_(b)) now");
  assert.equal(link.href, "https://example.org/a_(b)");
  assert.equal(inline("https://example.org/x。")[0].href, "https://example.org/x");
  for (const address of ["javascript:alert(1)", "data:text/html,x", "vbscript:x", "//evil",
    "JaVaScRiPt:1"]) {
    const nodes = rendered(`[x](${address})`);
    assert.ok(!nodes.some((node) => node.tag === "a"), address);
  }
  const anchor = rendered("[x](https://example.org)").find((node) => node.tag === "a");
  assert.match(anchor.attributes.rel, /noopener/);
});

test("hostile text stays text", () => {
  const hostile = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "# <svg onload=alert(1)>",
    "| <b>a</b> | c |\n|---|---|\n| <iframe src=x> | d |", "```html\"><script>\n<script>\n```",
    "- <style>*{}</style>", "> <a href=javascript:1>x</a>", "`<b>`", "**<i>x</i>**",
    "![x](https://example.org/\"onerror=\"alert(1))",
  ];
  const allowed = new Set(["#text", "p", "h2", "h3", "ul", "ol", "li", "pre", "div", "span",
    "code", "table", "thead", "tbody", "tr", "th", "td", "blockquote", "strong", "em", "a",
    "br"]);
  for (const text of hostile) {
    for (const node of rendered(text)) {
      assert.ok(allowed.has(node.tag), `${text}: ${node.tag}`);
      for (const name of Object.keys(node.attributes)) {
        assert.ok(["href", "rel", "target", "start"].includes(name), `${text}: ${name}`);
      }
    }
  }
  const [text] = rendered("<script>alert(1)</script>").filter((node) => node.tag === "#text");
  assert.equal(text.text, "<script>alert(1)</script>");
});

test("long hostile text takes no longer than its length deserves", () => {
  const count = 20_000;
  for (const piece of ["*", "**a ", "_", "`", "``a`", "[", "![", "](", "> ", "- ", "|", "~~", "<br",
    "\\", "1. ", "h", "http://", "[a](", "*a_", "- - ", " ", "#", "|-", "\n- ", "\n> ", "\n|a|\n|-|"]) {
    const started = performance.now();
    parse(piece.repeat(count));
    const time = performance.now() - started;
    assert.ok(time < 2000, `${JSON.stringify(piece)} took ${time} ms`);
  }
});

test("every character of a text arrives when no mark is in it", () => {
  const text = "Plain words, 中文字 and — signs & < > \" ' that mean nothing.";
  assert.equal(rendered(text)[0].textContent, text);
});

test("colouring code loses nothing", () => {
  for (const code of ["let x = \"a\\\"b\" // c\n", "# no\nif True: print('x')", "/* open", "'",
    "a`b${c}`"]) {
    for (const language of ["swift", "python", "js", "", "sql"]) {
      assert.equal(highlight(code, language).map((piece) => piece[1]).join(""), code);
    }
  }
  assert.deepEqual(highlight("return 1", "swift"),
    [["word", "return"], [null, " "], ["number", "1"]]);
});
