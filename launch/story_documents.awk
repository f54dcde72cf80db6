# Documents to pre-train on that hold stories with questions and answers, between other text: the few-shot part of finding 7.
#   awk -v out=FOLDER -v documents=4000 -v seed=1 -f story_documents.awk TEXT STORIES
# TEXT: lines to put between facts; STORIES: a file of the bAbI task qa1. A document is a row of 40 contexts, each with up
# to four facts and the question that follows them in a story; half of the contexts have text between their facts.
function below(n) {  # the same numbers with every awk
  state = (state * 69069 + 1) % 4294967296
  return int(state / 4294967296 * n)
}
function context(    story, asked, i, first, last, place, text, at) {
  story = below(stories)
  asked = first_question[story] + below(2)
  last = facts_before[asked]
  first = first_fact[story]
  if (below(2)) {
    text = "<context>\n"
    for (i = first; i < last; ++i) text = text " " fact[i]
  } else {
    text = "<context>\n"
    at = below(lines - 12)
    for (i = first; i < last; ++i) {
      for (place = below(3); place > 0; --place) text = text substr(line[at++], 1, 60) "\n"
      text = text " " fact[i]
    }
    for (place = below(4); place > 0; --place) text = text substr(line[at++], 1, 60) "\n"
  }
  return text "\n</context>\nQuestion: " question[asked] "\nAnswer: " answer[asked] ".\n"
}
BEGIN { lines = stories = questions = facts = 0 }
FNR == NR {
  if (NF > 0) line[lines++] = $0
  next
}
{
  number = $1
  sub(/^[0-9]+ /, "")
  if (number == 1) {
    first_question[stories] = questions
    first_fact[stories++] = facts
  }
  if (split($0, part, "\t") > 1) {
    question[questions] = part[1]
    sub(/ $/, "", question[questions])
    answer[questions] = part[2]
    facts_before[questions++] = facts
  } else {
    fact[facts++] = $0
  }
}
END {
  state = seed
  for (d = 0; d < documents; ++d) {
    file = sprintf("%s/%05d.txt", out, d)
    for (i = 0; i < 40; ++i) printf "%s", context() > file
    close(file)
  }
}
