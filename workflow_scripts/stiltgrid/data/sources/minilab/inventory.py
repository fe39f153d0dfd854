"""The concepts of the world and their English words, as data.

A concept is named by its first English word; a second word is a synonym (same concept, other form).
"""

CATEGORIES: dict[str, tuple[str, ...]] = {
    "food": ("bread loaf", "apple", "cheese", "soup broth", "fish", "cake"),
    "tool": ("hammer", "knife blade", "rope cord", "lamp", "brush", "bucket pail"),
    "animal": ("horse", "dog", "cat", "sheep", "goat", "rabbit hare"),
    "garment": ("coat jacket", "shirt", "hat cap", "shoe", "glove", "belt"),
    "vehicle": ("cart wagon", "ship vessel", "train", "bus", "truck lorry", "tram"),
    "document": ("book", "letter", "map", "ticket", "poem verse", "note memo"),
}
PLACES = (
    "kitchen",
    "garden",
    "market bazaar",
    "school",
    "office",
    "station",
    "harbor port",
    "hospital clinic",
    "farm ranch",
    "forest woods",
)
# Some words name a noun and a verb ("the guide guides", "ships the ship"), as in real English.
JOBS = ("baker", "teacher", "doctor physician", "farmer", "sailor", "cook", "guard", "guide")
FOLK = ("child kid", "neighbor", "woman lady", "boy lad")
ADJECTIVE_PAIRS = (
    ("big large", "small little"),
    ("old", "new"),
    ("hot", "cold"),
    ("clean spotless", "dirty filthy"),
    ("heavy", "light"),
    ("cheap", "costly expensive"),
    ("happy glad", "sad"),
    ("tall", "short"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")

# Object class of each verb: a category, "thing" (any of them), "person", or "" (no object).
VERBS: dict[str, tuple[str, ...]] = {
    "food": ("cook prepare", "eat"),
    "tool": ("use employ", "repair mend"),
    "animal": ("feed", "brush groom"),
    "garment": ("sew stitch", "wear"),
    "vehicle": ("drive steer", "park"),
    "document": ("write", "read"),
    "thing": ("buy purchase", "sell", "find discover", "ship transport", "lose", "paint", "hide conceal"),
    "person": ("help assist", "meet", "call phone", "visit", "guide", "guard"),
    "": ("sleep", "rest", "laugh", "dance"),
}
GIVEN_NAMES = (
    "Anna",
    "Bruno",
    "Clara",
    "David",
    "Elena",
    "Felix",
    "Greta",
    "Hugo",
    "Irene",
    "Jonas",
    "Karin",
    "Lucas",
    "Marta",
    "Nils",
    "Olga",
    "Pavel",
)
# Half of the surnames are also names of cities.
SURNAMES = (
    "Verona",
    "Lorca",
    "Moreno",
    "Tarnov",
    "Selmer",
    "Dorval",
    "Keller",
    "Novak",
    "Silva",
    "Berger",
    "Orsini",
    "Petrov",
)
CITIES = ("Verona", "Lorca", "Moreno", "Tarnov", "Selmer", "Dorval", "Ostia", "Bergen", "Malmar", "Tivoli")
ORGANISATION_NOUNS = ("Bank", "Press", "Museum", "Railway")

# Function words of English; the keys are what every language has a form for (or does without).
FUNCTION_WORDS = {
    "the": "the",
    "a": "a",
    "in": "in",
    "on": "on",
    "from": "from",
    "to": "to",
    "for": "for",
    "with": "with",
    "and": "and",
    "but": "but",
    "because": "because",
    "then": "then",
    "not": "not",
    "does": "does",
    "is": "is",
    "who": "who",
    "what": "what",
    "where": "where",
    "when": "when",
    "why": "why",
    "yes": "yes",
    "no": "no",
    "work": "works",
    "live": "lives",
    "whom": "who",
    "before": "before",
    "after": "after",
    "happen": "happens",
    "which": "which",
}
