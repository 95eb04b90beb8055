"""``mixvae completion``: scripts that complete commands, options and names in a shell."""

from argparse import Action
from collections.abc import Iterable, Mapping

from mixvae.errors import MixvaeError, one_of

from .parser import Parser, dashed, words_of
from .result import FLAGS, HelpAskedError, Result

TYPES = {"int", "float", "text", "path", "null"}  # of values that cannot be listed
LISTS = """
_mixvae_options() {
    case "$1 $2" in
%(recipes)s
    esac
    case "$1" in
%(options)s
    esac
}
_mixvae_values() {
    case "$1" in
%(values)s
    esac
}
_mixvae_names() {
    case "$1 $2" in
%(names)s
    esac
}
_mixvae_words() {  # word's number, command, second word, word before, word
    case "$5" in
        -*) _mixvae_options "$2" "$3"; return ;;
    esac
    case "$4" in
        --*) _mixvae_values "$4" ;;
        *) _mixvae_names "$1" "$2" ;;
    esac
}
"""
BASH = """# Completion of mixvae in bash; made by: mixvae completion bash
%(lists)s
_mixvae() {
    local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"
    local words="$(_mixvae_words "$COMP_CWORD" "${COMP_WORDS[1]}" "${COMP_WORDS[2]}" \\
        "$before" "$current")"
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o bashdefault -o default -F _mixvae mixvae
"""
ZSH = """#compdef mixvae
# Completion of mixvae in zsh; made by: mixvae completion zsh
%(lists)s
_mixvae() {
    local -a found
    found=(${=$(_mixvae_words $((CURRENT - 1)) "${words[2]}" "${words[3]}" \\
        "${words[CURRENT-1]}" "${words[CURRENT]}")})
    compadd -a found || _files
}
if [ "${funcstack[1]}" = "_mixvae" ]; then _mixvae "$@"; else compdef _mixvae mixvae; fi
"""
SHELLS = {"bash": BASH, "zsh": ZSH}


def completion(argv: list[str]) -> Result:
    """Print a script for the completion of commands, options and names by a shell, bash or zsh.

    The names are in the script, so that completing is instant; write it again after an upgrade.

      mixvae completion bash > ~/.local/share/bash-completion/completions/mixvae
      mixvae completion zsh > ~/.zfunc/_mixvae     # with fpath=(~/.zfunc $fpath) before compinit
    """
    parser = Parser("mixvae completion bash|zsh", completion.__doc__)
    words, _ = parser.read(argv, 1)
    if not words:
        raise MixvaeError(f"name a shell: {parser.usage}.")
    one_of("shell", words[0], SHELLS)
    script = SHELLS[words[0]] % {"lists": _lists().strip()}
    return Result(text=script, values={"shell": words[0], "script": script}, brief=script)


def _lists() -> str:
    """The names, as functions of a shell."""
    from mixvae.data import DATASETS
    from mixvae.experiments import ITEMS
    from mixvae.recipes import RECIPES, options_of
    from mixvae.recipes.values import hints_of

    from . import COMMANDS
    from .train import PruningOptions

    recipes = sorted(RECIPES)
    parsers = {name: _parser(name) for name in COMMANDS}
    options = {name: _options(parser) for name, parser in parsers.items()}
    values: dict[str, list[str]] = {}
    for actions in options.values():
        for name, action in actions.items():
            metavar = action.metavar if isinstance(action.metavar, str) else ""
            _add(values, name, metavar.strip("[]").split("|") if "|" in metavar else [])
    own = {}
    for recipe in recipes:
        hints, defaults = hints_of(RECIPES[recipe]), options_of(recipe)
        more = PruningOptions.__dataclass_fields__ if RECIPES[recipe].drops_components else ()
        own[recipe] = [dashed(name) for name in (*defaults, *more)]
        for name, default in defaults.items():
            found = words_of(hints[name], default)
            _add(values, dashed(name), found.split("|") if "|" in found else [])
    _add(values, "--data", sorted(DATASETS))
    names = {"1 *": [*COMMANDS, *FLAGS, "--help", "--version"], "2 train": recipes}
    names |= {"2 recipes": recipes, "2 completion": [*SHELLS], "* reproduce": [*ITEMS]}
    return LISTS % {
        "recipes": _cases({f"train {recipe}": found for recipe, found in own.items()}),
        "options": _cases({name: [*found, *FLAGS] for name, found in options.items()}),
        "values": _cases({name: found for name, found in values.items() if found}),
        "names": _cases(names),
    }


def _parser(command: str) -> Parser:
    """The parser by which a command answers --help."""
    from . import run

    try:
        run([command, "--help"])
    except HelpAskedError as asked:
        parser: Parser = asked.parser
        return parser
    raise MixvaeError(f"the command {command} has no --help.")


def _options(parser: Parser) -> dict[str, Action]:
    """A parser's options as they are spelled on the command line."""
    return {dashed(action.dest): action for action in parser._actions if action.option_strings}


def _add(values: dict[str, list[str]], name: str, more: Iterable[str]) -> None:
    """Add what an option can be, but types, to what it can be elsewhere."""
    known = values.setdefault(name, [])
    known += [word for word in more if word not in known and not set(word.split()) & TYPES]


def _cases(lines: Mapping[str, Iterable[str]]) -> str:
    """The branches of a shell's case; a star in a key stands for any text."""
    patterns = {key.replace(" ", "\\ "): " ".join(words) for key, words in lines.items()}
    return "\n".join(f'        {key}) echo "{words}" ;;' for key, words in patterns.items())
