"""quantkit completion: the script that completes commands and options in a shell."""

import click
from click.shell_completion import BashComplete, get_completion_class

from quantkit.cli import options, show

_INSTALL = {
    "bash": "echo 'eval \"$(quantkit completion bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(quantkit completion zsh)\"' >> ~/.zshrc",
    "fish": "quantkit completion fish > ~/.config/fish/completions/quantkit.fish",
}

# click's own script lets files push names out, or names files; this one offers both (`quantkit run mini<TAB>`).
_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n'
    local completion kind value

    for completion in $(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD %(complete_var)s=bash_complete $1); do
        IFS=',' read -r kind value <<< "$completion"
        case $kind in
            dir) compopt -o filenames -o dirnames; COMPREPLY+=($(compgen -d -- "$value")) ;;
            file) compopt -o filenames -o default; COMPREPLY+=($(compgen -f -- "$value")) ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Bash(BashComplete):
    source_template = _BASH


@click.command("completion")
@click.argument("shell", type=click.Choice(list(_INSTALL)))
@options.json_option
@click.pass_context
def command(ctx: click.Context, *, shell: str, as_json: bool) -> None:
    """Print shell completion for bash, zsh or fish.

    How to install it for good is said on stderr.
    """
    found = _Bash if shell == "bash" else get_completion_class(shell)
    assert found is not None, "click knows these three shells"
    script = found(ctx.find_root().command, {}, "quantkit", "_QUANTKIT_COMPLETE").source()
    if as_json:
        show.print_json(
            {
                "schema": "quantkit/completion/1",
                "shell": shell,
                "script": script,
                "install": _INSTALL[shell],
            }
        )
        return
    click.echo(script)
    show.say(f"# to keep it: {_INSTALL[shell]}")
