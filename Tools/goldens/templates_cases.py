"""Templates small enough to be read, and conversations for the templates of models."""

VARIABLES = {
    "n": 7,
    "x": 2.5,
    "neg": -3,
    "s": "hello world",
    "u": "Ünïcödé 日本語 🙂\r\nß e\u0301",
    "html": "<a href=\"x\">T&C's</a>",
    "empty": "",
    "t": True,
    "f": False,
    "nothing": None,
    "l": [3, 1, 2],
    "words": ["banana", "Apple", "cherry", "apple"],
    "mixed": [1, "a", None, True, 2.5, [1], {"k": "v"}],
    "d": {"b": 1, "a": 2, "C": 3},
    "nested": {"k": {"list": [10, 20, {"deep": "yes"}]}, "items": "shadow", "get": 5},
    "users": [
        {"name": "Ann", "age": 30, "tags": ["x"]},
        {"name": "bob", "age": 25, "tags": []},
        {"name": "Cid", "age": 30},
    ],
    "tree": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4, "c": []}]}]}],
}

EXPRESSIONS = r"""
1 + 2 * 3 - 4
2 ** 3 ** 2
-2 ** 2
2 ** -1
0 ** 0
7 // 2
-7 // 2
7 // -2
7 % 3
-7 % 3
7 % -3
7.5 % 2
-7.5 % 2
7.5 // 2
-7.5 // 2
5.0 // 0.5
7 / 2
6 / 2
1 / 0
1 // 0
1 % 0
1.0 / 0
0.1 + 0.2
1e16
1e15
1e-4
1e-5
123456789.123456789
1e22
1.5e300 * 1e10
1e308 * 10
-0.0
1.0
100.0
3.14e2
5e-324
12345678901234567
0x1F + 0o17 + 0b11
1_000 + 1
1__0
0123
9223372036854775807
-9223372036854775807
"a" + "b"
"a" ~ 1 ~ none ~ true ~ 2.0
"a" "b" 'c'
"a" * 3
3 * "ab"
"a" * -1
[1] * 2 + [3]
(1, 2) + (3,)
[1] + (2,)
"a" + 1
1 + "a"
none + 1
true + true
true + 1.5
+t
-n
-x
-"a"
- n | abs
not n
not empty
not not n
1 < 2 < 3
1 < 3 < 2
1 == 1.0 == true
"1" == 1
"a" < "b"
"a" < 1
[1, 2] < [1, 3]
(1, 2) == (1, 2)
[1, 2] == (1, 2)
{"a": 1} == {"a": 1.0}
none == none
none < 1
1 != 2
1 <> 2
n >= 7 and x <= 2.5
0 or "x" or 1
1 and "" and 2
0 and undefinedname.foo
undefinedname
undefinedname.foo
undefinedname["foo"]
undefinedname()
undefinedname + 1
undefinedname == undefinedname2
undefinedname ~ "x"
undefinedname is defined
undefinedname is undefined
not undefinedname
undefinedname | length
undefinedname in [1]
1 in undefinedname
undefinedname < 1
-undefinedname
undefinedname | upper
undefinedname | default("d")
undefinedname | list
undefinedname | join(",")
undefinedname | first is defined
undefinedname | tojson
undefinedname | int
undefinedname | string
undefinedname | items | list
undefinedname | dictsort
undefinedname | sort
undefinedname is sequence
undefinedname is iterable
undefinedname is callable
undefinedname is mapping
undefinedname is string
undefinedname is number
undefinedname is none
[undefinedname]
d.missing
d.missing.deeper
d["missing"] is defined
d["missing"]["deeper"]
nested.k.list[2].deep
nested["k"]["list"][0]
nested.k.list.1
nested.k.list[-1]
nested.k.list[5]
nested.k.list[5] is defined
nested.k.list["0"]
nested.items is string
nested.items is callable
nested["items"]
nested.get("k") is mapping
nested["get"]
d["items"]() | list
d.items() | list
d.items()
d.keys()
d.values()
d.keys() | list
d.values() | sum
d.get("b")
d.get("zz")
d.get("zz", 9)
d.get("zz", default=9)
d.pop("b")
d.update({})
d.pop is defined
d.copy()
d.clear
l.append(4)
l.append is defined
l.index(2)
l.index(9)
l.count(1)
l.copy()
l.sort()
l[0]
l[-1]
l[::-1]
l[1:]
l[:-1]
l[5:]
l[0:3:2]
l[::0]
l["a"]
l[1.0]
l[none:2]
l[true]
s[0]
s[-1]
s[1:4]
s[::-1]
s[::2]
s[20:]
s[99]
s[0, 1]
u[8:11]
u[-3:]
u | length
u[1]
"\r\n" | length
"e\u0301" | length
"é" == "e\u0301"
"e\u0301"[0]
"🙂👨‍👩‍👧" | length
"a\nb\tc\\d\'e\"f"
"\x41\u00e9\U0001F600\101"
"\q\z"
"\é\日"
"a\
b"
"\ud800"
"\xZZ"
'it\'s' ~ "q\"q"
["it's", 'q"q', "both'\"", "\n\t\r\\\x00\x7f\u00a0é🙂\u200b"]
{"a": [1, 2.0, none, true], 'b': ("x",), 3: {}}
{1: "a", true: "b", 1.0: "c"}
{[1]: 2}
()
(1,)
(1, 2)
1, 2
[1, 2,]
{"a": 1,}
{}
[]
[[]]
mixed
"yes" if t else "no"
"yes" if f else "no"
"yes" if f
("yes" if f) is defined
"a" if f else "b" if f else "c"
n if n > 5 else 0
"x" in "xyz"
"" in "xyz"
1 in "xyz"
"b" in d
"B" not in d
3 in l
[1] in mixed
2 in (1, 2)
1 in 5
n is odd
n is even
n is divisibleby 7
n is divisibleby(2)
n is not divisibleby 2
n is defined and n is number
x is float
n is integer
t is integer
t is boolean
t is number
t is true
f is false
1 is true
nothing is none
nothing is not none
s is string
n is string
l is sequence
d is sequence
s is sequence
n is sequence
d is mapping
l is mapping
l is iterable
n is iterable
d.items() is iterable
d.items() is sequence
d.items() is mapping
range is callable
s.upper is callable
s is callable
n is eq 7
n is equalto 7
(("a"))
"a" if n == 7 and not f else "b"
"%5.1f%%" | format(99.55)
"{:.3}".format("abcdef")
" a  b ".split(" ")
"a b c d".rsplit(none, 2)
n is ne 7
n is lt 8
n is le 7
n is gt 7
n is ge 7
n is == 7
n is sameas 7
l is sameas l
nothing is sameas none
"a" is in "abc"
"a" is in ["b"]
n is in [7]
"abc" is lower
"ABC" is upper
"aBc" is lower
"" is lower
"1" is upper
"upper" is filter
"nope" is filter
"odd" is test
"nope" is test
n is nosuchtest
n | nosuchfilter
"x" if false else (n | nosuchfilter)
(n | nosuchfilter) if f else 1
n is odd is even
n is odd(1)
x is odd
"a" is odd
neg | abs
"a" | abs
-2.5 | abs
[1, 2, 3, 4, 5] | batch(2) | list
[1, 2, 3] | batch(2, "x") | list
[1, 2, 3, 4, 5] | slice(2) | list
[1, 2, 3, 4, 5] | slice(3, "x") | list
"hELLO wORLD" | capitalize
"ß" | capitalize
"x" | center(5)
"x" | center(6)
"xy" | center(5)
"abc".center(6, "*")
"abcd".center(7, "*")
l | count
none | length
5 | length
none | default("d")
none | default("d", true)
"" | default("d", true)
"" | d("d", boolean=True)
undefinedname | d
d | dictsort
d | dictsort(true)
d | dictsort(by="value")
d | dictsort(false, "value", true)
d | dictsort(by="nope")
html | escape
html | e | e
html | forceescape
"<" | safe | escape
("<b>" | safe) + "<i>"
("<b>" | safe) ~ "<i>"
"<i>" + ("<b>" | safe)
l | first
[] | first
[] | first is defined
s | first
d | first
l | last
s | last
[] | last
"3.5" | float
"abc" | float
"abc" | float(1.5)
"inf" | float
"1e3" | float
" 2 " | float
none | float
"1_0" | float
"%s-%s" | format(1, "a")
"%(a)s" | format(a=5)
"%05d|%-5d|%+d|% d" | format(42, 42, 42, 42)
"%.2f|%8.3f|%e|%g" | format(3.14159, 2.5, 12345.678, 0.0001)
"%x|%X|%o|%#x" | format(255, 255, 8, 255)
"%s" | format
"%s %s" | format(1)
"%s" | format(1, 2)
"%d" | format("a")
"%d" | format(3.9)
"100%%" | format
"%r" | format("a")
"%c%c" | format(65, "b")
"%10s|%-10s|%.2s" | format("abc", "abc", "abc")
"%z" | format(1)
"%s" % "a"
"%s %s" % ("a", 1)
"%s" % [1, 2]
"%(k)s" % {"k": 1}
"%s" % none
"abc" % ()
"abc" % 1
users | groupby("age")
users | groupby("age") | map(attribute="grouper") | list
users | groupby("age") | map("first") | list
users | groupby("tags", default="none") | length
words | groupby(0)
words | groupby(0, case_sensitive=true) | map("first") | list
"a\nb\n\nc" | indent
"a\nb\n\nc" | indent(2, true)
"a\nb\n\nc" | indent(2, true, true)
"a\nb" | indent("> ")
"a\n" | indent
"" | indent
5 | indent
"42" | int
"42.9" | int
"abc" | int
"abc" | int(5)
"0x1F" | int(0, 16)
"ff" | int(base=16)
"0b11" | int(0, 2)
"z" | int(default=-1, base=36)
3.99 | int
-3.99 | int
none | int
true | int
"1_000" | int
" 12 " | int
"-5" | int
"1e3" | int
[] | int
d | items | list
l | items | list
l | join
l | join(", ")
users | join(", ", attribute="name")
users | map(attribute="name") | join("-")
s | join("-")
5 | join
[1, none, "a", undefinedname] | join("|")
d | length
d | list
s | list
5 | list
"ÀÉ" | lower
"straße" | upper
u | upper
words | map("upper") | list
words | map("replace", "a", "o") | list
users | map(attribute="tags") | list
users | map(attribute="tags", default=[]) | list
users | map(attribute="tags.0", default="-") | list
users | map("nosuch") | list
users | map | list
l | map("string") | join
[] | map("nosuch") | list
l | map("upper") | length
l | max
l | min
words | max
words | min(case_sensitive=true)
users | max(attribute="age")
[] | max
[1, "a"] | max
[1, 2, 3, 4] | select("odd") | list
[0, 1, "", none, "a"] | select | list
[0, 1, "", none, "a"] | reject | list
[1, 2, 3, 4] | reject("gt", 2) | list
[1, 2, 3, 4] | select("in", [2, 3]) | list
[1, 2, 3] | select("==", 2) | list
users | selectattr("age", "equalto", 30) | map(attribute="name") | list
users | selectattr("tags") | map(attribute="name") | list
users | rejectattr("tags") | map(attribute="name") | list
users | selectattr("tags", "defined") | list | length
users | selectattr("nope.deeper") | list
users | selectattr | list
l | select("nosuch") | list
s | replace("l", "L")
s | replace("l", "L", 1)
s | replace("", "-")
"aaa" | replace("aa", "b")
5 | replace("5", "6")
s | replace("l")
l | reverse | list
s | reverse
5 | reverse
d | reverse | list
2.5 | round
3.5 | round
2.675 | round(2)
42.55 | round
42.55 | round(1)
42.55 | round(1, "floor")
42.51 | round(0, "ceil")
42 | round
1234 | round(-2)
1250 | round(-2)
-1.5 | round
1234.5678 | round(-2)
2.5 | round(method="up")
l | sort
l | sort(reverse=true)
words | sort
words | sort(case_sensitive=true)
users | sort(attribute="age") | map(attribute="name") | list
users | sort(attribute="age,name", reverse=true) | map(attribute="name") | list
mixed | sort
d | sort
none | string
[1, 2] | string
"<p>a  <b>b</b>\n c</p><!-- x --> &amp; &lt;" | striptags
l | sum
users | sum(attribute="age")
[0.5, 1] | sum(start=10)
["a"] | sum
[[1], [2]] | sum(start=[])
"hello world-wide (web) it's" | title
"hello world-wide it's 3rd ﬁ".title()
d | tojson
mixed | tojson
mixed | tojson(indent=2)
{} | tojson(indent=4)
[[], {}] | tojson(indent=0)
d | tojson(separators=(",", ":"))
d | tojson(sort_keys=true)
nested | tojson(indent=2, separators=(",", ": "))
u | tojson
u | tojson(ensure_ascii=true)
"\u0000\u001f\u007f/<>&'\"" | tojson
"\u007f" | tojson(true)
{1: 2, none: 3, true: 4, 2.5: 5} | tojson
{(1, 2): 3} | tojson
(1, 2) | tojson
1e100 | tojson
range(3) | tojson
d.items() | tojson
d | tojson(indent="--")
[1, [2, [3]]] | tojson(indent=1)
"  x y  " | trim
"xxhixx" | trim("x")
"  x" | trim(none)
"foo bar baz qux" | truncate(9)
"foo bar baz qux" | truncate(9, true)
"foo bar baz qux" | truncate(11)
"foo bar baz qux" | truncate(11, false, "...", 0)
"foo bar baz qux" | truncate(2)
words | unique | list
words | unique(true) | list
users | unique(attribute="age") | map(attribute="name") | list
[[1], [1]] | unique | list
"a b/c?d=é&" | urlencode
{"a b": 1, "c": "é/"} | urlencode
[("a", 1), ("b", 2)] | urlencode
"a b, c-d e_f 1" | wordcount
{"class": "a b", "id": none, "x": "<>"} | xmlattr
{"a b": 1} | xmlattr
{"a": 1} | xmlattr(false)
1 | filesizeformat
999 | filesizeformat
1234567 | filesizeformat
1234567 | filesizeformat(true)
d | attr("b") is defined
"abc" | attr("upper")() if false else 1
"  x ".strip() ~ "|"
"xxaxx".strip("x")
"  a ".lstrip() ~ "|"
"  a ".rstrip() ~ "|"
"abcba".lstrip("ab")
"\u3000a\u00a0".strip()
"a,b,c".split(",")
"a,b,c".split(",", 1)
"a,b,c".rsplit(",", 1)
"  a  b ".split()
" a b c ".split(none, 1)
" a b c ".rsplit(none, 1)
"a b".split(sep=" ")
"a".split("")
"aXXbXXc".split("XX")[-1]
"".split(",")
"".split()
"a\nb\r\nc\rd\u2028e\x0bf".splitlines()
"a\nb\n".splitlines(true)
"a\n\n".splitlines()
"abc".startswith("ab")
"abc".startswith(("x", "a"))
"abc".startswith("b", 1)
"abc".endswith("bc")
"abc".endswith(("x",))
"abc".startswith(1)
"abc".startswith("")
"aXbXc".replace("X", "--")
"aXbXc".replace("X", "--", 1)
"aXbXc".replace("X")
"abc".replace("", ".")
"hello".upper() ~ "HELLO".lower()
"hello wOrld".title()
"hELLO".capitalize()
"hELLO".swapcase()
"hello".find("l")
"hello".rfind("l")
"hello".find("z")
"hello".index("z")
"日本語日本".rfind("日")
"日本語日本".find("日", 1)
"hello".count("l")
"aaaa".count("aa")
"abc".count("")
"-".join(["a", "b"])
"-".join([1])
"-".join("abc")
"a{}b{}".format(1, 2)
"{0}{1}{0}".format("a", "b")
"{name!r:>8}|{x:.2f}|{n:05d}|{n:,}".format(name="bo", x=3.14159, n=1234)
"{a.b} {a[b]}".format(a={"b": 1})
"{:<5}|{:>5}|{:^5}|{:*^7}".format("a", "b", "c", "d")
"{:b} {:x} {:#x} {:o} {:e} {:%}".format(5, 255, 255, 8, 1234.5, 0.25)
"{:+d} {: d} {:08.3f} {:g}".format(5, 5, 3.14159, 1e10)
"{{}}".format()
"{}".format()
"{".format()
"{:{w}}|".format("a", w=4)
"{!s}".format(none)
"{:d}".format("a")
"12".isdigit()
"1²".isdigit()
"½".isnumeric()
"abc".isalpha()
"日本".isalpha()
"a1".isalnum()
"".isalpha()
" \n".isspace()
"ABC".isupper()
"Abc Def".istitle()
"abc".isascii()
"7".zfill(3)
"-7".zfill(4)
"a".ljust(3) ~ "|"
"a".rjust(3, "-")
"a=b=c".partition("=")
"a=b=c".rpartition("=")
"abc".partition("x")
"prefix-x".removeprefix("prefix-")
"x.txt".removesuffix(".txt")
"a\tb".expandtabs(4)
"abc".nosuch
"abc".nosuch()
"abc".__class__
"abc".__class__ is defined
"abc".strip("a", "b")
"abc".upper(1)
n.real
n.nope
x.is_integer()
range(3)
range(3) | list
range(1, 10, 3) | list
range(5, 0, -2) | list
range(0)
range(1, 2, 0)
range(100000) | length
range(100001)
range("a")
range(10)[2:5] | list
range(10)[-1]
3 in range(5)
dict(a=1, b=2)
dict({"a": 1}, b=2)
dict([("a", 1), ["b", 2]])
dict(1)
namespace(a=1).a
namespace(a=1)
namespace({"a": 1}).a
namespace(_a=1)
namespace(a=1)["a"]
namespace().zz is defined
cycler("a", "b").next()
cycler()
joiner()()
raise_exception("no way")
raise_exception()
strftime_now("%Y-%m-%d %H:%M:%S %d %b %B %a %A %j %p %I %y %%")
strftime_now("%-d/%e %U %w")
none()
5()
"a"()
d()
[1, 2](0)
f(1)
x.y.z
l[0].foo
none.foo
none.foo is defined
none["foo"]
true.foo is defined
(1, 2)[0]
(1, 2, 3)[1:]
[1, 2, 3][1]
{"a": {"b": 3}}.a.b
"abc"[1].upper()
[1, [2, 3]][1][0]
1 if
1 +
(1
[1
{"a" 1}
{1}
"abc
1 2
a b
n |
n is
n.
n[
n[]
foo(
foo(a=1, 2)
foo(a=1, a=2)
foo(*l)
dict(**{"q": 1})
range(*[1, 4]) | list
"%s%s" | format(*["a", "b"])
!n
n ; 1
@
$
n.1.2
1.e5
.5
1.
1.5.real
true and false or true
True and False
None
none is none
not n in l
not 3 in l
3 not in l
n not in l and true
"a" ~ "b" + "c"
1 + 2 ~ 3
1 ~ 2 * 3
2 * 3 ~ 4
n in [7] == true
not true == false
loop
loop.index
caller
varargs
-1 | abs
(-1) | abs
"a" | upper ~ "b" | upper
("a" ~ "b") | upper
"a,b" | replace(",", "\n") | indent
l | sort | first
l | map("string") | map("upper") | join(",")
s.split() | map("capitalize") | join(" ")
d.items() | map("first") | list
d.items() | sort(attribute="1") | list
d | dictsort | map(attribute="0") | join
[1, 2] | first + 1
users | map(attribute="name") | map("lower") | select("in", ["ann", "bob"]) | list | length
[1, 2, 3] | sum / 2
(l | length) > 2
l | length > 2
l|length==3
{"role": "user"}["role"] == "user"
users[0].name ~ users[-1]["name"]
users[0].tags[0] if users[0].tags else "none"
(users | selectattr("name", "equalto", "Ann") | first).age
(users | selectattr("name", "equalto", "Zed") | first).age
(users | selectattr("name", "equalto", "Zed") | first) is defined
"Q" in "Q" and "A" not in "Q"
1.0 is integer
"{}" | tojson
[1.0, 1e20, 1.5e-7] | tojson
3 | string | length
true | string
1 is boolean
"a" > "B"
"é" > "z"
"😀" > "\uffff"
[] or {} or "z"
x | int + 1
"5" | int * 2
8 // 3 * 3 + 8 % 3
2 ** 62
2 ** 0.5
(-8) ** 2
10 ** -2
7 // 2.0
1 == true
0 == false
"" == none
[none] == [none]
5 is divisibleby 0
""" .strip("\n").split("\n")

STATEMENTS = [
    "a\n{% if t %}\n b\n{% endif %}\nc\n",
    "a\n  {% if t %}  \n b\n  {% endif %}\nc\n\n",
    "a  {%- if t -%}  b  {%- endif -%}  c",
    "a\n  {%+ if t %}b{% endif +%}\nc",
    "x {{- ' y ' -}} z",
    "  {{ n }}  \n  {{ n -}}  \n z",
    "a {# comment #} b",
    "a\n  {# comment #}\nb",
    "a {#- c -#} b",
    "{# unclosed",
    "{{ unclosed",
    "{% if t",
    "{% raw %}{{ x }} {% if %}{% endraw %}!",
    "a {%- raw -%} {{ x }} {%- endraw -%} b",
    "{% raw %}\n a\n  {% endraw %}\nb",
    "{% raw %} never",
    "a\r\nb\rc\n",
    "line\n\n",
    "{% if n == 7 %}A{% elif n == 8 %}B{% else %}C{% endif %}",
    "{% if f %}A{% elif n == 7 %}B{% else %}C{% endif %}",
    "{% if f %}A{% elif f %}B{% else %}C{% endif %}",
    "{% if %}x{% endif %}",
    "{% if t %}x",
    "{% endif %}",
    "{% if t %}{% endfor %}",
    "{% nosuch %}",
    "{% for i in l %}{{ i }},{% endfor %}",
    "{% for i in [] %}{{ i }}{% else %}none{% endfor %}",
    "{% for i in l %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 }}/"
    "{{ loop.first }}/{{ loop.last }}/{{ loop.length }}/{{ loop.depth }}/{{ loop.depth0 }} {% endfor %}",
    "{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}",
    "{% for i in l %}{% if loop.previtem is defined %}p{% endif %}{% if loop.nextitem is not defined %}e{% endif %}{% endfor %}",
    "{% for i in l %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for i in [1,1,2,2,1] %}{% if loop.changed(i) %}{{ i }}{% endif %}{% endfor %}",
    "{% for i in l if i > 1 %}{{ i }}{{ loop.index }}{{ loop.length }} {% endfor %}",
    "{% for i in l if i > 5 %}{{ i }}{% else %}nothing{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}",
    "{% for k, v in d | dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for a, b in [[1, 2], [3]] %}{{ a }}{% endfor %}",
    "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, in [[1], [2]] %}{{ a }}{% endfor %}",
    "{% for c in 'hé\u0301🙂' %}[{{ c }}]{% endfor %}",
    "{% for i in 5 %}{% endfor %}",
    "{% for i in none %}{% endfor %}",
    "{% for i in undefinedname %}x{% else %}e{% endfor %}",
    "{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in l %}{% break %}{% else %}E{% endfor %}",
    "{% for i in l %}{% continue %}{% else %}E{% endfor %}",
    "{% for i in l %}{{ i }}{% break %}{% else %}E{% endfor %}",
    "{% break %}",
    "{% for i in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
    "{% for x in tree recursive %}{{ x.v }}({{ loop.depth }}){% if x.c %}[{{ loop(x.c) }}]{% endif %}{% endfor %}",
    "{% for x in l %}{{ loop([1]) }}{% endfor %}",
    "{% for loop in l %}{% endfor %}",
    "{% for i in l %}{% for j in l %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}",
    "{% for i in l %}{% set y = i %}{% endfor %}{{ y }}",
    "{% set c = 0 %}{% for i in l %}{{ c }}{% set c = c + i %}{% endfor %}{{ c }}",
    "{% set ns = namespace(c=0) %}{% for i in l %}{% set ns.c = ns.c + i %}{% endfor %}{{ ns.c }}",
    "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns.b is defined }}{{ ns }}",
    "{% set ns = namespace() %}{% set ns._a = 1 %}",
    "{% set q.a = 1 %}",
    "{% set d.a = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a = 1, 2 %}{{ a }}",
    "{% set (a, b) = [1, 2] %}{{ a + b }}",
    "{% set true = 1 %}",
    "{% set 5 = 1 %}",
    "{% set a = %}",
    "{% set a %}x{{ n }}{% endset %}[{{ a }}]",
    "{% set a | upper | trim %} x{{ n }} {% endset %}[{{ a }}]",
    "{% set a %}{% set inner = 5 %}{% endset %}{{ inner is defined }}",
    "{% if t %}{% set a = 3 %}{% endif %}{{ a }}",
    "{% set n = n + 1 %}{{ n }}",
    "{% set range = 5 %}{{ range }}",
    "{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}",
    "{% with %}{% set z = 1 %}{{ z }}{% endwith %}{{ z is defined }}",
    "{% with n = 1, m = n %}{{ m }}{% endwith %}",
    "{% filter upper %}abc{{ s }}{% endfilter %}",
    "{% filter replace('a', 'b') | upper %}aaa{% endfilter %}",
    "{% filter nosuch %}x{% endfilter %}",
    "{% macro m(a, b=2, c='x' ~ b) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}|{{ m(1, 5) }}|{{ m(1, c=3) }}|{{ m(b=1, a=0) }}|{{ m() }}",
    "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{% endmacro %}{{ m(z=2) }}",
    "{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, z=4) }}",
    "{% macro m(a, b=1, c) %}{% endmacro %}",
    "{% macro m(n) %}{% if n > 0 %}{{ n }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(5) }}",
    "{% macro m() %}{{ later }}{% endmacro %}{% set later = 5 %}{{ m() }}",
    "{% macro m() %}{{ n }}{% set n = 1 %}{{ n }}{% endmacro %}{{ m() }}{{ n }}",
    "{% macro m(x) %}<{{ caller() }}>{% endmacro %}{% call m(1) %}body {{ n }}{% endcall %}",
    "{% macro m() %}{{ caller(1, b=2) }}{% endmacro %}{% call(a, b, c=3) m() %}{{ a }}{{ b }}{{ c }}{% endcall %}",
    "{% macro m() %}x{% endmacro %}{% call m() %}b{% endcall %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
    "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ m.name }} {{ m.arguments }} {{ m.catch_kwargs }}",
    "{% macro m() %}\n  a\n{% endmacro %}[{{ m() }}]",
    "{% macro m() %} a {% endmacro %}[{{ m() | trim }}]{{ m() | length }}",
    "{% for i in l %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% call 5 %}{% endcall %}",
    "{% macro outer() %}{% macro inner() %}i{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}{{ inner is defined }}",
    "{% generation %}abc{{ n }}{% endgeneration %}",
    "{% for i in l %}\n{% generation %}\n{{ i }}\n{% endgeneration %}\n{% endfor %}",
    "{% generation %}{% set q = 1 %}{% endgeneration %}{{ q is defined }}",
    "{%- generation -%} x {%- endgeneration -%} y",
    "{% generation %}",
    "{% print n, s %}",
    "{% block b %}{{ n }}{% endblock %}",
    "{% for i in l %}{% block q %}{{ i is defined }}{% endblock %}{% endfor %}",
    "{% autoescape false %}{{ html }}{% endautoescape %}",
    "{% do l.append(1) %}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}",
    "{% set j = joiner('|') %}{% for i in l %}{{ j() }}{{ i }}{% endfor %}",
    "{% set g = l | map('string') %}{{ g | list }}{{ g | list }}",
    "{% set g = l | select('nosuch') if f else 1 %}{{ g }}",
    "{% if f %}{{ n | nosuch }}{% endif %}ok",
    "{% if t %}{{ n | nosuch }}{% endif %}",
    "{% if f %}{% for i in l %}{{ n | nosuch }}{% endfor %}{% endif %}",
    "{% if f %}{{ n is nosuch }}{% endif %}ok",
    "{{ '{{' }}{{ '}}' }}{{ \"{%\" }}",
    "{{ {'a': {'b': 1}}['a']['b'] }}",
    "{{ {'a': {'b': {}}}}}",
    "{{-n-}}",
    "{{ n }}{{ -n }}{{-n}}",
    "{{+n}}",
    "{{ 'a' if true }}{{ 'b' if false }}",
    "{% if not loop %}no loop{% endif %}",
    "{{ [1,\n 2,\n 3] }}",
    "{% set x = [1,\n\n2] %}\n\n{{ x }}\n",
    "{%for i in[1,2]%}{{i}}{%endfor%}",
    "{% for i in l: %}{{ i }}{% endfor %}",
    "{{ }}",
    "{% %}",
    "{{ n }",
    "{{ n }} }} {{",
    "{ { n } } {%",
    "{}",
    "",
    "\n",
    "plain",
    "{% set a = [] %}{% set _ = a.append(1) %}",
    "{% set ns = namespace(l=[]) %}{% for i in l %}{% set ns.l = ns.l + [i * 2] %}{% endfor %}{{ ns.l }}",
    "{% for i in l | sort %}{{ i }}{{ ',' if not loop.last }}{% endfor %}",
    "{% for a in l %}{% for b in l if b != a %}{{ a }}{{ b }} {% endfor %}{% endfor %}",
    "{% for u in users %}{{ u.name }}{% if u.tags %}!{% endif %}{% endfor %}",
    "{% for u in users %}{{ loop.index }}{% set loop_name = u.name %}{{ loop_name }}{% endfor %}",
    "{{ d.items() | list | last }}{% for k, v in d | items %}{{ k }}{% endfor %}",
    "{% for i in (1, 2, 3) | reverse %}{{ i }}{{ loop.length }}{{ loop.last }}{% endfor %}",
    "{%- set a = 1 -%}\n\n{%- set b = 2 -%}\n {{ a + b }}",
    "  {%- if t %} x{% endif %}",
    "\t{% if t %}\tx{% endif %}\n",
    "a{% if t %}\n\nb{% endif %}\n\nc",
    "日本{% if t %}語{% endif %}\u3000{{- n }}",
    "{% include 'x' %}",
    "{% import 'x' as y %}",
    "{% extends 'x' %}",
    "{% set a = lambda %}{{ a is defined }}",
    "{% if n is defined and n is not none and n %}ok{% endif %}",
    "{% set t2 = (n, s) %}{{ t2[1] }}{{ t2 }}",
    "{% set ns = namespace(x=1) %}{% macro m() %}{% set ns.x = 2 %}{% endmacro %}{{ m() }}{{ ns.x }}",
    "{% macro m(a) %}{% for i in a recursive %}{{ loop.index }}{% endfor %}{% endmacro %}{{ m(l) }}",
    "{{ loop is defined }}{% for i in l %}{% endfor %}{{ loop is defined }}",
    "{% for i in l %}{% with %}{{ loop.index }}{% endwith %}{% endfor %}",
    "{% for i in l %}{% set a %}{{ loop.index }}{% endset %}{{ a }}{% endfor %}",
    "{% for i in l %}{% filter upper %}x{{ loop.index }}{% endfilter %}{% endfor %}",
    "{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}",
    "{% for i in l %}{{ i }}{% if loop.index == 2 %}{% break %}{% endif %}{% endfor %}!",
    "{{ [1, 2, 3] | map('pprint') | list if f }}",
    "{% set m = {'a': 1} %}{% set m = dict(m, b=2) %}{{ m }}",
    "{{ users | map(attribute='name') | list | tojson }}",
    "{% for x in [1,2,3] %}{{ x }}{% endfor x %}",
    "{% if t %}a{% else %}b{% else %}c{% endif %}",
    "{% elif t %}",
    "{% set a = 'x' %}{% set a = a ~ 'y' %}{% set a = a + 'z' %}{{ a }}",
    "{{ 'x' * 3 ~ '-' * 2 }}",
    "{{ raise_exception('bad role: ' ~ s) }}",
    "{%- for message in [{'role': 'user', 'content': ' hi '}] -%}{{ '<|' + message['role'] + '|>' }}\n{{ message.content | trim }}{%- endfor -%}\n",
]

CASES = (
    [f"{{{{ {expression} }}}}" for expression in EXPRESSIONS]
    + STATEMENTS
    + [
        ("{{ a.b }}{{ a['b'] }}", {"a": {"b": 1}}),
        ("{{ messages[0]['role'] }}", {"messages": []}),
        ("{{ messages[-1].content | length }}", {"messages": [{"content": "x\r\ny"}]}),
        ("{{ strftime_now }}", {"strftime_now": "mine"}),
        ("{{ v }}", {"v": [1e16, 1e-7, -0.0, 123.456, 9007199254740993]}),
        ("{{ v }}", {"v": "\u2028"}),
        ("{{ [v] }}", {"v": "\u2028\ufeff\ue000"}),
    ]
)

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather at a place, e.g. \"Paris\" & <so on>.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "City, 城市"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "default": 1},
                "where": {
                    "type": "object",
                    "properties": {"lat": {"type": "number"}, "tags": {"type": "array", "items": {"type": "string"}}},
                },
            },
            "required": ["place"],
        },
    },
}
CLOCK = {
    "type": "function",
    "function": {"name": "clock", "description": "Time now.", "parameters": {"type": "object", "properties": {}}},
}
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def system(text):
    return {"role": "system", "content": text}


def called(name, arguments, id="abc123def"):
    return {"type": "function", "id": id, "function": {"name": name, "arguments": arguments}}


PLAIN = [system("You are terse."), user("Hi!")]
MULTI = [
    system("Be kind.\nTwo lines."),
    user("What is 2+2?"),
    assistant("4"),
    user("  And 3+3? <b>&</b> "),
    assistant("6\n"),
    user("Thanks 谢谢 🙂 e\u0301\r\nß"),
]
TOOLS = [
    system("Use tools."),
    user("Weather in Paris?"),
    assistant("", tool_calls=[called("get_weather", {"place": "Paris", "days": 2, "unit": None, "ok": True})]),
    {"role": "tool", "name": "get_weather", "tool_call_id": "abc123def", "content": "{\"temp\": 21.5}"},
    assistant("It is 21.5 degrees."),
    user("And time?"),
]
PARALLEL = [
    user("Both please"),
    assistant(
        "Let me look.",
        tool_calls=[called("get_weather", {"place": "北京"}, "call00001"), called("clock", {}, "call00002")],
    ),
    {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "sunny"},
    {"role": "tool", "name": "clock", "tool_call_id": "call00002", "content": "12:00"},
]
THOUGHT = [
    user("Think first."),
    assistant("Done.", reasoning_content="First this,\nthen that."),
    user("Again"),
    assistant("<think>\ninline\n</think>\n\nOk."),
    user("Last"),
]
CONVERSATIONS = [
    {"name": "system and user", "messages": PLAIN, "add_generation_prompt": True, "variables": TOKENS},
    {"name": "no generation prompt", "messages": PLAIN, "add_generation_prompt": False, "variables": TOKENS},
    {"name": "no system", "messages": [user("Hello")], "add_generation_prompt": True, "variables": TOKENS},
    {"name": "no tokens", "messages": [user("Hello")], "add_generation_prompt": True},
    {"name": "several turns", "messages": MULTI, "add_generation_prompt": True, "variables": TOKENS},
    {"name": "ends with assistant", "messages": MULTI[:5], "variables": TOKENS},
    {"name": "tools offered", "messages": PLAIN, "tools": [WEATHER, CLOCK], "add_generation_prompt": True, "variables": TOKENS},
    {"name": "tools without system", "messages": [user("?")], "tools": [WEATHER], "add_generation_prompt": True, "variables": TOKENS},
    {"name": "tool used", "messages": TOOLS, "tools": [WEATHER, CLOCK], "add_generation_prompt": True, "variables": TOKENS},
    {"name": "parallel tools", "messages": PARALLEL, "tools": [WEATHER, CLOCK], "add_generation_prompt": True, "variables": TOKENS},
    {"name": "tool content none", "messages": [user("q"), assistant(None, tool_calls=[called("clock", {})]), {"role": "tool", "content": "1"}], "variables": TOKENS},
    {"name": "arguments as text", "messages": [user("q"), assistant("", tool_calls=[called("clock", "{\"a\": 1}")])], "tools": [CLOCK], "variables": TOKENS},
    {"name": "thinking on", "messages": THOUGHT, "add_generation_prompt": True, "variables": TOKENS | {"enable_thinking": True, "thinking": True}},
    {"name": "thinking off", "messages": THOUGHT, "add_generation_prompt": True, "variables": TOKENS | {"enable_thinking": False, "thinking": False}},
    {"name": "empty", "messages": [], "add_generation_prompt": True, "variables": TOKENS},
    {"name": "two users", "messages": [user("a"), user("b")], "variables": TOKENS},
    {"name": "starts with assistant", "messages": [assistant("a"), user("b")], "variables": TOKENS},
    {"name": "odd role", "messages": [{"role": "observer", "content": "x"}], "variables": TOKENS},
    {"name": "parts", "messages": [{"role": "user", "content": [{"type": "text", "text": "see "}, {"type": "image"}, {"type": "text", "text": "this"}]}], "add_generation_prompt": True, "variables": TOKENS},
    {"name": "developer", "messages": [{"role": "developer", "content": "rules"}, user("x")], "add_generation_prompt": True, "variables": TOKENS},
    {"name": "documents", "messages": [user("x")], "documents": [{"title": "T", "text": "Body"}], "add_generation_prompt": True, "variables": TOKENS},
]
