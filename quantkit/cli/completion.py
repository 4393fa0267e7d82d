"""quantkit completion: the script that completes commands and options in a shell."""

import click

from quantkit.cli import options, show

_INSTALL = {
    "bash": "echo 'eval \"$(quantkit completion bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(quantkit completion zsh)\"' >> ~/.zshrc",
    "fish": "quantkit completion fish > ~/.config/fish/completions/quantkit.fish",
}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(_INSTALL)))
@options.json_option
@click.pass_context
def command(ctx: click.Context, *, shell: str, as_json: bool) -> None:
    """Print shell completion for bash, zsh or fish.

    How to install it for good is said on stderr.
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
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
