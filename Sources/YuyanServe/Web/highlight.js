// Colours for code: comments, strings, numbers and the words most languages share.

const WORDS = new Set(`
  abstract actor and as assert async await bool break case catch char class const continue def
  default defer del delete do double elif else end enum except export extends extension extern
  false final finally float fn for foreach from func function global guard if impl implements
  import in init inout int interface internal is lambda let local long loop match mod module mut
  new nil None not null of or override package pass private protocol public raise return self Self
  static struct super switch template then this throw throws trait true True False try type
  typedef typeof undefined union unsafe use using var void where while with yield select SELECT
  FROM WHERE INSERT UPDATE DELETE JOIN GROUP ORDER BY LIMIT`.trim().split(/\s+/));
const HASH_COMMENTS =
  /^(py|python|sh|bash|shell|zsh|yaml|yml|toml|rb|ruby|r|make|dockerfile|perl|ini)$/i;
const PLAIN = /^(|text|txt|plain|plaintext|output|log|markdown|md)$/i;
const STRING = `"(?:[^"\\\\\\n]|\\\\.)*"?|'(?:[^'\\\\\\n]|\\\\.)*'|\`(?:[^\`\\\\]|\\\\.)*\`?`;
const NUMBER = "\\b\\d[\\w.]*";
const WORD = "[\\p{L}_][\\p{L}\\p{N}_]*";
const SLASHES = "\\/\\/[^\\n]*|\\/\\*[^]*?(?:\\*\\/|$)";
const MAX_LENGTH = 50_000; // longer code is shown without colours

/** Splits code into `[kind, text]`, where kind is comment, string, number, word, name or null. */
export function highlight(code, language) {
  if (PLAIN.test(language) || code.length > MAX_LENGTH) return [[null, code]];
  const comment = HASH_COMMENTS.test(language) ? "#[^\\n]*"
    : /^(sql|lua|haskell|hs)$/i.test(language) ? "--[^\\n]*" : SLASHES;
  const pattern = new RegExp(`(${comment})|(${STRING})|(${NUMBER})|(${WORD})`, "gu");
  const pieces = [];
  let end = 0;
  for (const match of code.matchAll(pattern)) {
    const [text, isComment, isString, isNumber] = match;
    const kind = isComment ? "comment" : isString ? "string" : isNumber ? "number"
      : WORDS.has(text) ? "word" : code[match.index + text.length] === "(" ? "name" : null;
    if (!kind) continue;
    if (match.index > end) pieces.push([null, code.slice(end, match.index)]);
    pieces.push([kind, text]);
    end = match.index + text.length;
  }
  if (end < code.length) pieces.push([null, code.slice(end)]);
  return pieces;
}
