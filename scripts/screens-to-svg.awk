# From the screens of a terminal, one after the other, to a picture that moves: an SVG in which each row appears when it
# was written. It plays once, and stays as the last screen; where nothing moves, it is the last screen from the start.
#
# In: before each screen a line "\036MS", the time since the first, then its rows with their colours (SGR sequences).
# -v columns=N. What it does not know of SGR it leaves out.

function escaped(text) {
    gsub(/&/, "\\&amp;", text)
    gsub(/</, "\\&lt;", text)
    gsub(/>/, "\\&gt;", text)
    return text
}

# The classes for the colours in force.
function classes() {
    return (bold ? " b" : "") (dim ? " d" : "") (colour == "" ? "" : " c" colour)
}

function take_sgr(sequence,    count, codes, i, code) {
    count = split(sequence, codes, ";")
    if (count == 0) { bold = 0; dim = 0; colour = "" }
    for (i = 1; i <= count; i++) {
        code = codes[i] + 0
        if (code == 0) { bold = 0; dim = 0; colour = "" }
        else if (code == 1) bold = 1
        else if (code == 2) dim = 1
        else if (code == 22) { bold = 0; dim = 0 }
        else if (code == 39) colour = ""
        else if (code >= 30 && code <= 37) colour = code - 30
        else if (code >= 90 && code <= 97) colour = code - 90
    }
}

# A row as pieces of one colour each, every one at its column. What is in force at its end goes on in the next row.
function drawn(row,    out, piece, at, end, column, names) {
    out = ""
    column = 0
    while (row != "") {
        at = index(row, "\033[")
        piece = at ? substr(row, 1, at - 1) : row
        if (piece ~ /[^ ]/) {
            names = classes()
            out = out sprintf("<tspan x=\"%.1f\"%s>%s</tspan>", MARGIN + column * WIDTH,
                names == "" ? "" : " class=\"" substr(names, 2) "\"", escaped(piece))
        }
        column += length(piece)
        if (!at) break
        row = substr(row, at + 2)
        match(row, /[A-Za-z]/)
        if (substr(row, RSTART, 1) == "m") take_sgr(substr(row, 1, RSTART - 1))
        row = substr(row, RSTART + 1)
    }
    return out
}

# What stood in a row since a time is over.
function close_row(number, until_ms) {
    if (shown[number] == "") return
    pieces++
    of_row[pieces] = number
    text[pieces] = shown[number]
    from_ms[pieces] = since[number]
    to_ms[pieces] = until_ms
}

function show(number, row) {
    if (row == shown[number]) return
    close_row(number, now_ms)
    shown[number] = row
    since[number] = now_ms
}

BEGIN {
    WIDTH = 8.4; HEIGHT = 18; MARGIN = 12
    # Nobody wants to watch a broker start.
    LONGEST_PAUSE_MS = 1200
    row = 0; rows = 0; last_row = 0; now_ms = 0; taken_ms = 0; pieces = 0
}

/^\036/ {
    pause_ms = substr($0, 2) - taken_ms
    taken_ms += pause_ms
    now_ms += pause_ms > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS : pause_ms
    row = 0; bold = 0; dim = 0; colour = ""
    next
}

{
    row++
    if (row > rows) rows = row
    piece = drawn($0)
    if (piece != "" && row > last_row) last_row = row
    show(row, piece)
}

END {
    for (number = 1; number <= rows; number++) close_row(number, -1)
    width = columns * WIDTH + 2 * MARGIN
    height = last_row * HEIGHT + 2 * MARGIN
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\">\n", width, height, width, height
    print "<style>"
    print "rect { fill: #16181d }"
    print "text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #d8dce3; white-space: pre }"
    print ".b { font-weight: bold; fill: #fff } .d { fill: #8b93a1 }"
    print ".c1 { fill: #ff7b72 } .c2 { fill: #7ee08a } .c3 { fill: #e8c468 } .c4 { fill: #79b8ff } .c5 { fill: #d2a8ff } .c6 { fill: #7fdbe6 }"
    print "@keyframes later { from, to { visibility: hidden } }"
    print "@keyframes meanwhile { from, to { visibility: visible } }"
    print ".m { visibility: hidden }"
    print "@media (prefers-reduced-motion: reduce) { text { animation: none !important } }"
    print "</style>"
    printf "<rect width=\"%.0f\" height=\"%.0f\" rx=\"8\"/>\n", width, height
    for (i = 1; i <= pieces; i++) {
        style = ""
        if (to_ms[i] >= 0)
            style = sprintf(" class=\"m\" style=\"animation: meanwhile %.2fs %.2fs\"", (to_ms[i] - from_ms[i]) / 1000, from_ms[i] / 1000)
        else if (from_ms[i] > 0)
            style = sprintf(" style=\"animation: later %.2fs\"", from_ms[i] / 1000)
        printf "<text y=\"%.0f\" xml:space=\"preserve\"%s>%s</text>\n", MARGIN + of_row[i] * HEIGHT - 4, style, text[i]
    }
    print "</svg>"
}
