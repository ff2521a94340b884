r"""The one place that cleans a model's text: what is shown and remembered, and what is sent to a voice.

A `Reader` takes text in pieces and gives tokens. Each token says how it is shown and how it is said. It is
given as soon as nothing that follows can change it, so the tokens do not depend on where the text was
divided. The reader looks ahead a few hundred characters at most, so its work grows in proportion to the text.

| in the text | shown | said |
|---|---|---|
| marks of Markdown (pairs of `*` `_` `**` `~~`, backticks, `#` `>` `-` at a line's start) | – | – |
| the same elsewhere (`john_smith`, `_smith`, `C#`, `*69`, `4*`, `x < 5`) | as it is | as it is |
| a link, an image | its text | its text |
| an address (URL, e-mail) | as it is | as it is |
| tags and comments of HTML and SSML; half of one at the end | – | – |
| other tags (`<name>`) | as they are | as they are |
| the same around words (`<answer>It is noon.</answer>`) | – | – |
| speech markup (`<emotion .../>`) | – | by voices that take it |
| citations (`[1]`, `【4†source】`), delimiters of TeX (`\(`, `$x$`) | – | – |
| commands of TeX (`\times`, `\frac{1}{2}`) | what they mean (`×`, `1/2`) | what they mean |
| a reference (`[our site][1]`); where it leads (`[1]: https://…`) | its text; – | its text; – |
| an arrow between words (`A → B`, `A -> B`) | as it is | as a pause |
| an index (`x[0]`) | as it is | as it is |
| an emoji; a keycap | as it is; its digit | –; its digit |
| a fence with one line of code; with more | the line; – | the line; – |
| a row of a table; its rules, boxes | cells with commas; – | cells with commas; – |
| a bar elsewhere (`yes|no`) | as it is | as a pause |
| entities (`&amp;`) | what they mean | what they mean |
| invisible characters | – | – |
"""
