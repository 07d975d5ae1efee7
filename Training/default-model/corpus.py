"""Writes the text that the default model learns: little stories, conversations, and what this project says of itself.

Everything is made from the word lists and sentence plans below, from registry.json, and from the project's own
documents; the same seed gives the same text. A story has a place, a weather, a hero who wants something, a cause why it
does not work at once, a helper, and an end that follows from both.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END, USER, ASSISTANT = "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>"

GIRLS = "Anna Mia Lily Nora Ella Ruth Clara Ida Zoe Maya Tess Olga Vera June Rosa Hanna Elif Aiko Leila Wanda".split()
BOYS = "Tom Ben Max Leo Sam Otto Finn Jack Oscar Paul Emil Hugo Ravi Omar Theo Karl Luis Kenji Nils Yuri".split()
ANIMALS = ("fox bear rabbit mouse owl frog duck squirrel hedgehog cat dog goat sheep crow beaver otter badger turtle "
           "sparrow pony pig hen goose bee snail deer mole").split()
TRAITS = "little small brave kind clever shy funny quiet curious gentle careful cheerful lazy old young quick".split()
PLACES = [("in a forest", "forest"), ("on a farm", "farm"), ("by the sea", "beach"), ("near a river", "river"),
          ("in a small town", "town"), ("on a hill", "hill"), ("in a big garden", "garden"),
          ("at the edge of a village",
          "village"), ("in a house with a red door", "house"), ("beside a lake", "lake"), ("under an old oak", "oak"),
          ("in a green valley", "valley"), ("near a windmill", "windmill"), ("on a quiet island", "island")]
WEATHER = {
    "sunny": ["The sun was shining.", "It was a warm and sunny day.", "The sky was blue and there was no cloud."],
    "rainy": ["It was raining.", "The rain fell all morning.", "Dark clouds were in the sky, and it began to rain."],
    "windy": ["The wind was strong that day.", "A cold wind blew through the trees.", "It was a windy day."],
    "snowy": ["Snow was falling.", "It was winter, and everything was white.", "There was fresh snow on the ground."],
    "foggy": ["There was fog everywhere.", "It was a grey and foggy morning.", "The fog was so thick that nobody could "
              "see far."],
}
THINGS = [("ball", "red"), ("kite", "blue"), ("boat", "little"), ("drum", "loud"), ("hat", "yellow"), ("book", "old"),
          ("lamp", "bright"), ("key", "silver"), ("basket", "big"), ("scarf", "warm"), ("bell", "golden"), ("cup",
          "green"),
          ("map", "old"), ("box", "wooden"), ("flute", "thin"), ("blanket", "soft"), ("ladder", "tall"), ("coat",
          "long")]
FOOD = "apples berries nuts carrots bread soup honey pears cheese pancakes cherries plums cake beans".split()
HIDING = [("under a bush", "bush"), ("behind a big stone", "stone"), ("in the tall grass", "grass"), ("under the bed",
    "bed"),
          ("in a hollow tree", "tree"), ("behind the shed", "shed"), ("beside the well", "well"), ("on the roof",
          "roof")]
FEELINGS = {"sad": ["sad", "very sad", "unhappy"], "happy": ["happy", "very happy", "glad"],
            "afraid": ["afraid", "scared", "a little afraid"]}
LESSONS = {
    "share": ["It is nice to share.", "Things are better when you share them.",
    "What we share makes two people happy."],
    "ask": ["It is good to ask for help.", "Nobody has to do everything alone.", "Asking is not hard."],
    "try": ["You learn when you try again.", "It is fine to fail and to try once more.",
    "Slow and careful is fast enough."],
    "truth": ["It is better to tell the truth.", "The truth makes the heart light.", "Honest words are good words."],
    "brave": ["You can be afraid and still be brave.", "Being brave means going on.", "Even the small can be brave."],
}


class Hero:
    """Somebody in a story: what to call them."""

    def __init__(self, draw: random.Random, taken: set[str]):
        if draw.random() < 0.5:
            girl = draw.random() < 0.5
            self.name = draw.choice([n for n in (GIRLS if girl else BOYS) if n not in taken])
            self.kind = "girl" if girl else "boy"
        else:
            girl = draw.random() < 0.5
            self.kind = draw.choice([a for a in ANIMALS if a not in taken])
            self.name = draw.choice([n for n in (GIRLS if girl else BOYS) if n not in taken])
        self.trait = draw.choice(TRAITS)
        self.he, self.him, self.his = ("she", "her", "her") if girl else ("he", "him", "his")
        self.He = self.he.capitalize()
        taken |= {self.name, self.kind}

    @property
    def a(self) -> str:
        return f"{'an' if self.trait[0] in 'aeiou' else 'a'} {self.trait} {self.kind}"


class Story:
    """One story; each plan is a method that gives its sentences."""

    def __init__(self, draw: random.Random):
        self.draw = draw
        taken: set[str] = set()
        self.hero, self.friend = Hero(draw, taken), Hero(draw, taken)
        self.where, self.place = draw.choice(PLACES)
        self.weather = draw.choice(list(WEATHER))
        self.thing, self.look = draw.choice(THINGS)
        self.food = draw.choice(FOOD)
        self.hidden, self.spot = draw.choice(HIDING)
        self.plan = draw.choice(["lost", "share", "storm", "learn", "gift", "truth", "rescue", "race", "plant",
            "night"])

    def feel(self, mood: str) -> str:
        return self.draw.choice(FEELINGS[mood])

    def say(self, *choices: str) -> str:
        return self.draw.choice(choices)

    def opening(self) -> list[str]:
        h = self.hero
        first = self.say(f"Once upon a time there was {h.a} named {h.name}.", f"There once was {h.a} called {h.name}.",
                         f"{h.name} was {h.a}.", f"One day, {h.a} named {h.name} woke up early.")
        home = self.say(f"{h.name} lived {self.where}.", f"{h.He} lived {self.where} with {h.his} family.",
                        f"{h.his.capitalize()} home was {self.where}.")
        return [first, home, self.draw.choice(WEATHER[self.weather])]

    def closing(self, lesson: str) -> list[str]:
        h, f = self.hero, self.friend
        last = self.say(f"{h.name} and {f.name} were friends from that day on.",
            f"That evening {h.name} went home and was "
                        f"{self.feel('happy')}.", f"{h.name} smiled and thanked {f.name}.", f"Then they went home "
                        "together.", f"From then on, {h.name} and {f.name} met every day.")
        return [last] + ([self.say(*LESSONS[lesson])] if self.draw.random() < 0.6 else [])

    def meets(self) -> str:
        f = self.friend
        return self.say(f"Then {f.name} came by. {f.He} was {f.a}.",
            f"Just then {f.a} came along. {f.his.capitalize()} name "
                        f"was {f.name}.", f"{f.name}, {f.a}, heard this and came closer.")

    def lost(self) -> list[str]:
        h, f, t = self.hero, self.friend, self.thing
        return [self.say(f"{h.name} had a {self.look} {t} and loved it very much.",
            f"{h.name} liked to play with {h.his} "
                         f"{self.look} {t}."), f"But that day the {t} was gone.",
                self.say(f"{h.name} looked everywhere, but could not find it.",
                f"{h.He} looked in the house and outside, "
                         "but it was not there."), f"{h.name} was {self.feel('sad')}.", self.meets(),
                f"\"Why are you sad?\" asked {f.name}.", f"\"I have lost my {t},\" said {h.name}.",
                self.say(f"\"Let us look together,\" said {f.name}.",
                f"\"I will help you,\" said {f.name}. \"Four eyes see "
                         "more than two.\""), f"They looked {self.hidden}, and there it was!",
                f"The {t} had been {self.hidden} all the time, because "
                + self.say("the wind had carried it there.", f"{h.name} had left it there the day before.",
                           "it had rolled away."), *self.closing("ask")]

    def share(self) -> list[str]:
        h, f, o = self.hero, self.friend, self.food
        return [f"{h.name} had a basket full of {o}.", self.say(f"\"These are all mine,\" said {h.name}.",
            f"{h.He} wanted to "
                f"eat all the {o} alone."), self.meets(),
                f"\"I am so hungry,\" said {f.name}. \"May I have some {o}?\"",
                f"At first {h.name} said no.", f"{f.name} went away and was {self.feel('sad')}.",
                self.say(f"{h.name} ate and ate, but the {o} did not taste good.",
                f"But {h.name} could not enjoy the {o} any "
                         "more."), f"So {h.he} ran after {f.name}.",
                f"\"Wait!\" called {h.name}. \"There is enough for both of us.\"",
                f"They sat down and ate the {o} together.",
                f"Now the {o} tasted much better, because {h.name} was not alone.", *self.closing("share")]

    def storm(self) -> list[str]:
        h, f = self.hero, self.friend
        return [f"{h.name} went for a walk to the {self.place}.", "Suddenly there was thunder, and a storm began.",
                f"{h.name} was {self.feel('afraid')} and did not know where to go.", self.meets(),
                f"\"Come with me,\" said {f.name}. \"I know a dry place.\"",
                self.say("They ran to a small cave and waited there.",
                "They sat under a roof and listened to the rain."),
                f"{f.name} told a funny story, so {h.name} forgot the thunder.", "After a while the storm was over.",
                self.say("There was a rainbow in the sky.", "The air was fresh and the birds sang again."),
                *self.closing("brave")]

    def learn(self) -> list[str]:
        h, f = self.hero, self.friend
        skill, fail, win = self.draw.choice([
            ("swim", "swallowed water and coughed", "swam across the pond"), ("climb",
            "slipped and fell into the grass",
            "climbed to the top of the tree"), ("bake a cake", "burned the cake", "baked a sweet cake"),
            ("sing", "sang too loudly and out of tune", "sang a lovely song"), ("ride a bike", "fell off the bike",
            "rode all the way to the bridge"), ("read", "mixed up the letters", "read a whole page aloud"),
            ("whistle", "only blew air", "whistled a happy tune"), ("draw", "drew a horse that looked like a potato",
            f"drew a picture of {f.name}")])
        return [f"{h.name} wanted to learn to {skill}.", f"{h.He} tried, but {h.he} {fail}.",
                f"\"I will never learn it,\" said {h.name}, and was {self.feel('sad')}.", self.meets(),
                f"\"I could not {skill} at first either,\" said {f.name}. \"You need time. Try again, but slowly.\"",
                self.say(f"They practised every day for a week.", "They practised in the morning and in the evening."),
                f"One day {h.name} {win}.", f"\"Look, I can do it!\" {h.he} shouted.", f"{f.name} clapped.",
                *self.closing("try")]

    def gift(self) -> list[str]:
        h, f, t = self.hero, self.friend, self.thing
        return [f"The next day was the birthday of {f.name}, {f.a}.",
            f"{h.name} wanted to give {f.him} a {t}, but {h.he} had no "
                "money.", f"\"What can I do?\" thought {h.name}.", self.say(f"Then {h.he} had an idea.",
                f"{h.He} thought for a "
                "long time, and then had an idea."),
                f"{h.name} took wood and paint and made a {self.look} {t} with {h.his} own "
                "hands.", "It took the whole night.", f"In the morning {h.name} gave the {t} to {f.name}.",
                f"\"You made this for me?\" said {f.name}. \"It is the best gift of all!\"",
                f"{f.name} was {self.feel('happy')}, "
                "because the gift came from the heart.", *self.closing("share")]

    def truth(self) -> list[str]:
        h, f, t = self.hero, self.friend, self.thing
        return [f"{h.name} was playing in the house and broke the {self.look} {t}.",
            f"The {t} belonged to {f.name}, {f.a}.",
                f"{h.name} was {self.feel('afraid')} and put the pieces {self.hidden}.",
                f"Soon {f.name} came home and asked, \"Where is my {t}?\"",
                self.say(f"\"I do not know,\" said {h.name}, but {h.his} face was red.",
                f"{h.name} said nothing and looked at the "
                         "floor."), f"That night {h.name} could not sleep.",
                         f"In the morning {h.he} said, \"I broke your {t}. I "
                "am sorry.\"", f"\"Thank you for telling me,\" said {f.name}. \"We can mend it together.\"",
                f"They took some glue, and soon the {t} was whole again.", *self.closing("truth")]

    def rescue(self) -> list[str]:
        h, f = self.hero, self.friend
        trap, tool, act = self.draw.choice([
            ("had fallen into a deep hole", "a long rope", "pulled with all {his} strength"), ("was stuck in the mud",
            "a strong branch", "held it out"), ("sat in a tall tree and could not come down", "a ladder",
            "put it against the tree"), ("was caught in a net", "a sharp stone", "cut the net"),
            ("stood on a rock in the middle of the water", "a small boat", "rowed as fast as {he} could")])
        act = act.format(his=h.his, he=h.he)
        return [f"{h.name} was walking near the {self.place} and heard a cry.", f"\"Help! Help!\" somebody called.",
                f"It was {f.name}, {f.a}, who {trap}.", f"{h.name} was {self.feel('afraid')}, but did not run away.",
                f"{h.He} found {tool} and {act}.", self.say("It was hard work.", "At first it did not work.",
                "It took a long "
                "time."), f"At last {f.name} was free.", f"\"You saved me!\" said {f.name}. \"How can I thank you?\"",
                f"\"Be my friend,\" said {h.name}.", *self.closing("brave")]

    def race(self) -> list[str]:
        h, f = self.hero, self.friend
        return [f"One morning {h.name} met {f.name}, {f.a}.",
            f"\"I am the fastest {self.say('in the world', 'of all')},\" said "
                f"{f.name}. \"Let us run to the {self.place}!\"", f"So they ran. {f.name} was soon far ahead.",
                self.say(f"{f.name} was so sure of winning that {f.he} lay down and slept.",
                f"Then {f.name} stopped to eat some "
                         f"{self.food}, because {f.he} thought there was time."),
                f"{h.name} was slow, but {h.he} did not stop.",
                f"When {f.name} looked up again, {h.name} was already there.",
                f"\"You won!\" said {f.name}. \"I was too proud.\"",
                f"{h.name} gave {f.him} some water, and they both laughed.",
                *self.closing("try")]

    def plant(self) -> list[str]:
        h, f = self.hero, self.friend
        crop = self.draw.choice("apple cherry plum pear sunflower pumpkin bean carrot".split())
        return [f"{h.name} found a {crop} seed and put it into the ground.",
            f"Every day {h.he} gave it water, but nothing "
                "happened.", f"\"My seed does not grow,\" said {h.name} and was {self.feel('sad')}.", self.meets(),
                f"\"You must wait,\" said {f.name}. \"A seed sleeps before it wakes up.\"",
                self.say("Weeks went by.", "They waited for many days.",
                "The sun came, and then the rain, and then the sun "
                         "again."), "One morning there was a small green leaf.",
                f"In summer the plant was taller than {h.name}.", f"{h.name} and {f.name} sat beside it and were "
                f"{self.feel('happy')}.", *self.closing("try")]

    def night(self) -> list[str]:
        h, f = self.hero, self.friend
        noise, cause = self.draw.choice([("a scratching sound", "a branch that touched the window"), ("a strange howl",
            "the wind in the chimney"), ("soft steps", f"{f.name}, who was looking for {self.food}"), ("a low growl",
            "the old clock in the hall"), ("a knock", "the shutter that was loose")])
        return [f"At night {h.name} lay in bed and heard {noise}.", f"{h.name} was {self.feel('afraid')}.",
                f"\"Is it a monster?\" {h.he} thought.", f"{h.He} woke up {f.name}, {f.a}.",
                f"\"Let us look,\" said {f.name}, and took a lamp.", "They went on tiptoe through the dark.",
                f"Then they saw it: it was only {cause}!", "They laughed until they were tired.",
                f"After that {h.name} slept well.", *self.closing("brave")]

    def text(self) -> str:
        sentences = self.opening() + getattr(self, self.plan)()
        paragraphs, here = [], []
        for sentence in sentences:
            here.append(sentence)
            if len(here) >= self.draw.randint(3, 6):
                paragraphs.append(" ".join(here))
                here = []
        if here:
            paragraphs.append(" ".join(here))
        return "\n".join(paragraphs)

    def request(self) -> str:
        h, f = self.hero, self.friend
        about = {"lost": f"somebody who loses a {self.thing}", "share": f"sharing {self.food}", "storm": "a storm",
                 "learn": "learning something new", "gift": "a birthday gift", "truth": "telling the truth",
                 "rescue": "a rescue", "race": "a race", "plant": "a seed", "night": "a noise in the night"}[self.plan]
        who = h.kind if self.draw.random() < 0.5 else f"{h.kind} named {h.name}"
        return self.say(f"Tell me a story about {about}.", f"Tell me a story about a {who}.",
            f"Write a story about {about}.",
                        f"Can you tell me a story about a {who}?",
                        f"I would like a story about a {who} and a {f.kind}.",
                        f"Please write a short story about {about}.", "Tell me a story.", f"Tell {h.name} a story.")


TALK = [
    (["Hello", "Hello!", "Hi", "Hi there", "Good morning", "Good evening", "Hey"],
     ["Hello! I can tell you a story, or talk about attention operators.", "Hello! What would you like to hear?",
      "Hi! Would you like a story?"]),
    (["Who are you?", "What are you?", "What is your name?", "Are you a robot?"],
     ["I am the default model of AttentionZoo, a very small language model.",
      "I am a very small language model. I came with AttentionZoo, so that it can speak without a download."]),
    (["What can you do?", "Can you help me?", "How can you help me?"],
     ["I can tell little stories, and I know the names of the attention operators of the zoo.",
      "I tell short stories. I also know a little about attention operators. For anything else I am too small."]),
    (["Thank you", "Thanks", "Thank you!", "That was nice"], ["You are welcome!",
    "You are welcome! Do you want another story?"]),
    (["Goodbye", "Bye", "See you", "Good night"], ["Goodbye!", "Goodbye! Come back soon."]),
    (["How are you?", "How do you feel?"], ["I am fine, thank you. How are you?",
    "I am well. I am only a small model, but a "
                                                                                  "happy one."]),
    (["What is AttentionZoo?", "What is the zoo?", "Tell me about AttentionZoo."],
     ["AttentionZoo is a Swift package with many kinds of attention. You can swap one operator for another in a model.",
      "It is a collection of attention operators in Swift that run on the processor."]),
    (["What is attention?", "How does attention work?", "Explain attention."],
     ["Attention lets each token look at other tokens. A query is compared with every key, a softmax turns the scores "
      "into weights, and the result is the weighted sum of the values."]),
    (["What is a query?", "What is a key?", "What are values?"],
     ["In attention a query asks, a key answers how well it fits, and a value is what is passed on."]),
    (["What is softmax?"], ["Softmax turns scores into weights that are positive and sum to one."]),
    (["What is a token?"], ["A token is a piece of text with a number: a word, a part of a word or a sign."]),
]


def operators() -> list[dict]:
    return json.loads((ROOT / "registry.json").read_text())["operators"]


def question(draw: random.Random, known: list[dict]) -> tuple[str, str]:
    """A question about an operator, and its answer."""
    op = draw.choice(known)
    name, title, summary = op["id"], op["title"], op["summary"]
    page = ROOT / "docs" / "operators" / f"{name}.md"
    when = re.search(r"## When to choose it\n\n(.+?)\n", page.read_text()) if page.exists() else None
    kinds = [
        ([f"What is {name}?", f"What is {title}?", f"Explain {name}.", f"What does {name} do?",
        f"Tell me about {name}."],
         f"{title}: {summary}"),
        ([f"Who invented {title}?", f"Which paper describes {name}?", f"What is the source of {name}?"],
         f"{title} is described in: {op['paper']}."),
        ([f"To which family does {name} belong?", f"What kind of operator is {name}?"],
         f"{title} belongs to the family {op['family']}."),
    ]
    if when:
        kinds.append(([f"When should I use {name}?", f"When do I choose {title}?", f"Is {name} a good choice?"],
            when.group(1)))
    if op["aliases"]:
        kinds.append(([f"Does {name} have another name?"], f"{title} is also called {op['aliases'][0]}."))
    asked, answer = draw.choice(kinds)
    return draw.choice(asked), answer


def conversation(draw: random.Random, known: list[dict]) -> str:
    turns = []
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        kind = draw.random()
        if kind < 0.5:
            story = Story(draw)
            turns.append((story.request(), story.text()))
        elif kind < 0.8:
            turns.append(question(draw, known))
        else:
            asked, answers = draw.choice(TALK)
            turns.append((draw.choice(asked), draw.choice(answers)))
    return BEGIN + "".join(f"{USER}{asked}{END}{ASSISTANT}{answer}{END}" for asked, answer in turns)


def documents() -> list[str]:
    """Paragraphs of the project's own documents, without tables and code."""
    result = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
        kept = [p.strip() for p in text.split("\n\n") if p.strip() and "|" not in p and "](" not in p and "<" not in p]
        text = "\n\n".join(kept)
        if len(text) > 200:
            result.append(BEGIN + text + END)
    return result


def corpus(seed: int, size: int, with_documents: bool = True) -> list[str]:
    """Texts of `size` characters together: stories, conversations, and the documents once in every two million."""
    draw = random.Random(seed)
    known, own = operators(), documents() if with_documents else []
    result: list[str] = []
    length, next_own = 0, 0
    seen: set[str] = set()
    while length < size:
        if own and length >= next_own:
            result += own
            length += sum(map(len, own))
            next_own = length + 2_000_000
        text = BEGIN + Story(draw).text() + END if draw.random() < 0.6 else conversation(draw, known)
        if text in seen:
            continue
        seen.add(text)
        result.append(text)
        length += len(text)
    draw.shuffle(result)
    return result


if __name__ == "__main__":
    for sample in corpus(7, 6000):
        print(sample, "\n")
