"""monitor.toml on its way in: what is refused, with which words, and what is said of it beforehand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.config import Config
from monitor.load import (
    FILE_BYTES_MAX,
    ConfigError,
    Problem,
    check_secrets,
    find_secrets,
    load_config,
    load_packs,
    policy_json,
    secret_values,
    template,
)
from rules.meaning.contract import Priority
from rules.meaning.pack import Pack

ROOT = Path(__file__).parents[2]
SMALL = """\
[brands.acme]
keywords = ["Acme"]

[[brands.acme.x]]
handle = "Acme"
bearer_token = { env = "T_X_BEARER" }

[[targets]]
name = "all"
first_response = "15m"

[channels.care]
type = "slack"
webhook_url = { env = "T_SLACK" }
"""


def load(folder: Path, text: str) -> Config:
    """The config that a file with this text gives."""
    path = folder / "monitor.toml"
    path.write_text(text, "utf-8")
    return load_config(path)


def problems(folder: Path, text: str) -> list[str]:
    """What is said against it, each without the folder's name."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    assert str(caught.value).count("\n") == len(caught.value.problems) - 1
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_a_good_file_gives_typed_settings(tmp_path: Path) -> None:
    """Accounts, channels and targets come out ready for use, handles in lower case."""
    config = load(tmp_path, SMALL)
    (account,) = config.accounts()
    assert (account.brand, account.connector, account.label, account.handle) == ("acme", "x", "acme", "acme")
    assert account.settings.bearer_token.name == "T_X_BEARER"
    assert config.targets[0].first_response == timedelta(minutes=15)
    care = config.channels["care"]
    assert care.stages == ("warning", "breach", "cleared", "spike", "trouble", "corrected")
    assert care.brands is None and care.min_priority is Priority.LOW
    assert config.warnings == ()
    assert config.file == str(tmp_path / "monitor.toml")


def test_one_table_and_several_are_read_alike(tmp_path: Path) -> None:
    """Whoever has one account may leave out the second pair of brackets."""
    single = load(tmp_path, SMALL.replace("[[brands.acme.x]]", "[brands.acme.x]"))
    assert single.accounts()[0].settings == load(tmp_path, SMALL).accounts()[0].settings
    assert single.accounts()[0].key == "brands.acme.x"


def test_everything_that_is_wrong_is_said_at_once_with_its_line(tmp_path: Path) -> None:
    """One look at the output is enough to mend the whole file."""
    text = """\
[monitor]
time_zone = "Mars/Olympus"
look_bakc = "7d"
log = "jsn"

[web]
listen = "nonsense"
enabled = "perhaps"

[rules]
complaint_threshold = 1.5

[brands.acme]
automated_patterns = [
  "^fine$",
  "(?=look)ahead",
]

[brands.acme.x]
handle = "acme"
bearer_token = { env = "T_X" }
mention = true

[[targets]]
name = "a"
first_response = 15

[[targets]]
name = "b"
first_response = "15m"
no_target = true

[[targets]]
name = "c"
first_response = "15m"
priority = "hihg"
warnings = [0.8, 0.5]

[channels.care]
type = "slak"

[chanels.other]
"""
    said = problems(tmp_path, text)
    expected = [
        'monitor.toml:2: monitor.time_zone: expected a time zone such as "Europe/Berlin"',
        "monitor.toml:3: monitor.look_bakc: unknown key 'look_bakc'; did you mean 'look_back'?",
        'monitor.toml:4: monitor.log: expected "auto", "console" or "json"; did you mean "json"?',
        'monitor.toml:7: web.listen: expected an address and a port such as "127.0.0.1:9464" or "[::1]:9464"',
        "monitor.toml:8: web.enabled: expected true or false, such as true",
        "monitor.toml:11: rules.complaint_threshold: expected less than 1.0, such as 0.5, not 1.5",
        'monitor.toml:16: brands.acme.automated_patterns[1]: expected an RE2 expression such as "^Thanks for '
        'writing": ',
        "monitor.toml:22: brands.acme.x.mention: unknown key 'mention'; did you mean 'mentions'?",
        'monitor.toml:26: targets[0].first_response: expected a duration such as "90s", "15m", "12h" or '
        '"2d", not 15',
        'monitor.toml:28: targets[1]: expected first_response = "15m", or no_target = true, and not both',
        'monitor.toml:36: targets[2].priority: expected "low", "normal", "high" or "urgent"; did you mean '
        '"high"?',
        "monitor.toml:37: targets[2].warnings: expected ascending shares such as [0.5, 0.8]",
        "monitor.toml:40: channels.care.type: unknown type 'slak'; did you mean 'slack'?",
        "monitor.toml:42: chanels: unknown key 'chanels'; did you mean 'channels'?",
    ]
    assert len(said) == len(expected), "\n".join(said)
    for line, start in zip(said, expected, strict=True):
        assert line.startswith(start)


def test_a_missing_setting_says_what_it_is_and_shows_one(tmp_path: Path) -> None:
    """Whoever forgot a key can write it without opening the docs."""
    said = problems(tmp_path, SMALL.replace('name = "all"\n', "").replace('handle = "Acme"\n', ""))
    assert said == [
        'monitor.toml:4: brands.acme.x[0].handle: missing (The account\'s handle, without "@": '
        'handle = "acmehelp".)',
        "monitor.toml:7: targets[0].name: missing (Its name in alerts and metrics.), such as "
        'name = "public complaints"',
    ]


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ('"xoxb-hunter2"', "channels.care.webhook_url"),
        ('["xoxb-hunter2"]', "channels.care.webhook_url"),
        ('{ envv = "xoxb-hunter2" }', "channels.care.webhook_url"),
        ('{ env = "A", file = "xoxb-hunter2" }', "channels.care.webhook_url"),
    ],
)
def test_a_secret_in_the_file_is_refused_and_never_repeated(tmp_path: Path, value: str, where: str) -> None:
    """A pasted token does not end up in a terminal or a log."""
    text = SMALL.replace('{ env = "T_SLACK" }', value)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    (problem,) = caught.value.problems
    assert (problem.key, problem.line) == (where, 14)
    assert 'expected { env = "NAME" }' in problem.message
    assert "hunter2" not in str(caught.value) + repr(caught.value) + repr(caught.value.problems)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('[[targets]]\nname = "all"', '[[targets]]\nname = "all"\nneeds_reply = "hunter2"'),
        ('[[targets]]\nname = "all"', '[[targets]]\nname = "all"\nmin_followers = "hunter2"'),
        ('type = "slack"', 'type = "slack"\nmention = "hunter2"'),
        ('handle = "Acme"', 'handle = "hunter2-with-a-dash"'),
        ("[[targets]]", '[http]\nproxy = "http://me:hunter2@proxy.example:3128"\n[[targets]]'),
        ("[[targets]]", '[web]\nlisten = "hunter2"\n[[targets]]'),
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated_either(tmp_path: Path, old: str, new: str) -> None:
    """A token pasted one line too high is as private as one in its place."""
    text = SMALL.replace(old, new)
    assert text != SMALL
    assert "hunter2" not in "\n".join(problems(tmp_path, text))


def test_a_value_that_may_be_a_text_or_a_secret_is_blamed_once(tmp_path: Path) -> None:
    """One mistake is one line, with the key as it stands in the file."""
    text = SMALL.replace(
        'bearer_token = { env = "T_X_BEARER" }',
        'refresh_token = { env = "T_R" }\nclient_id = { envv = "T_C" }',
    )
    (said,) = problems(tmp_path, text)
    assert said.startswith("monitor.toml:7: brands.acme.x[0].client_id: secrets are not written into")


def test_a_platform_that_we_do_not_have_gets_a_suggestion(tmp_path: Path) -> None:
    """Whoever writes "twitter" or "redit" is told our name for it; other keys are not called platforms."""
    text = SMALL + '[brands.acme.twitter]\nhandle = "a"\n[[brands.acme.redit]]\nusername = "a"\n'
    assert problems(tmp_path, text.replace("keywords =", "keyword =")) == [
        "monitor.toml:2: brands.acme.keyword: unknown key 'keyword'; did you mean 'keywords'?",
        "monitor.toml:15: brands.acme.twitter: unknown connector 'twitter'; did you mean 'x'?",
        "monitor.toml:17: brands.acme.redit: unknown connector 'redit'; did you mean 'reddit'?",
    ]


def test_a_service_that_is_reached_over_another_channel_gets_a_suggestion(tmp_path: Path) -> None:
    """Whoever writes the name of a chat, or of Prometheus, is told which kind of channel reaches it."""
    for written, ours in (("discord", "apprise"), ("prometheus", "alertmanager"), ("mail", "smtp")):
        (said,) = problems(tmp_path, SMALL.replace('type = "slack"', f'type = "{written}"'))
        assert said.endswith(f"unknown type {written!r}; did you mean {ours!r}?")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = \n", 1),
        ('[web]\nlisten = "x\n', 2),
        ("[web]\n\n[web]\n", 3),
        ("[web]\nlisten = [1,\n2,\n", 4),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    """A forgotten quote is found without searching."""
    (said,) = problems(tmp_path, text)
    assert said.startswith(f"monitor.toml:{line}: is no TOML: ")


@pytest.mark.parametrize(
    "body",
    [
        b"a = " + b"[" * 100_000 + b"]" * 100_000,
        b"a = " + b"9" * 5_000,
        b'a = "\xff"',
        b"#" * (FILE_BYTES_MAX + 1),
    ],
    ids=["nested", "huge number", "not UTF-8", "too long"],
)
def test_a_file_that_is_no_config_is_refused_with_a_reason(tmp_path: Path, body: bytes) -> None:
    """Whatever the file holds, the answer is a sentence and not a traceback."""
    path = tmp_path / "monitor.toml"
    path.write_bytes(body)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert len(caught.value.problems) == 1


def test_a_file_that_is_not_there_points_to_init(tmp_path: Path) -> None:
    """The first error that a newcomer sees says what to do."""
    with pytest.raises(
        ConfigError, match="cannot be read: No such file or directory; `response-monitor init`"
    ):
        load_config(tmp_path / "monitor.toml")


def test_a_windows_editor_does_no_harm(tmp_path: Path) -> None:
    """A byte order mark and CRLF read like any other file, and lines are counted right."""
    path = tmp_path / "monitor.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert load_config(path).brands["acme"].keywords == ["Acme"]
    path.write_bytes(SMALL.replace('"15m"', "15").replace("\n", "\r\n").encode())
    with pytest.raises(ConfigError, match=r"monitor\.toml:10: targets"):
        load_config(path)


def test_no_brand_is_an_error_beside_the_others(tmp_path: Path) -> None:
    """An empty config is not a daemon that watches nothing."""
    said = problems(tmp_path, "[web]\nenabled = 3\n")
    assert said[0] == (
        "monitor.toml: brands: expected at least one, such as [brands.acme] with [[brands.acme.x]]"
    )
    assert said[1].startswith("monitor.toml:2: web.enabled: expected true or false")


@pytest.mark.parametrize("section", ["monitor", "brands", "targets", "channels"])
def test_a_value_where_tables_belong_is_told(tmp_path: Path, section: str) -> None:
    """`channels = "slack"` is answered with what a channel looks like."""
    said = problems(tmp_path, f'{section} = "slack"\n')
    assert any(line.startswith(f"monitor.toml:1: {section}: expected ") for line in said)


def test_two_accounts_with_one_label_are_refused(tmp_path: Path) -> None:
    """Alerts and metrics never speak of two accounts by one name; on two platforms they may share it."""
    second = '[[brands.acme.x]]\nhandle = "acme2"\naccount = "acme"\nbearer_token = { env = "T" }\n'
    (said,) = problems(tmp_path, SMALL + second)
    assert said.startswith("monitor.toml:17: brands.acme.x[1].account: 'acme' is another account's label;")
    other = SMALL + second.replace("brands.acme", "brands.other") + '[brands.other]\nname = "O"\n'
    assert len(load(tmp_path, other).accounts()) == 2


def test_a_label_that_could_not_be_a_file_or_a_metric_is_refused(tmp_path: Path) -> None:
    """No label reaches out of the state folder or breaks a metric."""
    text = SMALL.replace('handle = "Acme"', 'handle = "Acme"\naccount = "../acme"')
    (said,) = problems(tmp_path, text)
    assert said.startswith("monitor.toml:6: brands.acme.x[0].account: expected letters, digits")


@pytest.mark.parametrize("name", ['"a b"', '"../x"', '""', '"\\u001b[31m"', '"' + "a" * 65 + '"'])
def test_names_are_plain_words(tmp_path: Path, name: str) -> None:
    """What is a label in metrics and logs holds no control characters, spaces or paths."""
    said = problems(tmp_path, SMALL + f'[channels.{name}]\ntype = "slack"\nwebhook_url = {{ env = "T" }}\n')
    assert len(said) == 1 and "expected a name of at most 64 letters" in said[0]
    assert said[0].isprintable()


def test_targets_name_what_there_is(tmp_path: Path) -> None:
    """A typing error in a brand or platform is no target that silently never matches."""
    text = SMALL + (
        '[[targets]]\nname = "all"\nfirst_response = "1h"\nbrand = "acmee"\nconnector = "redit"\n'
        '[channels.more]\ntype = "slack"\nwebhook_url = { env = "T" }\nbrands = ["acme", "amce"]\n'
    )
    assert problems(tmp_path, text) == [
        "monitor.toml:16: targets[1].name: 'all' is the name of another target",
        "monitor.toml:18: targets[1].brand: unknown brand 'acmee'; did you mean 'acme'?",
        "monitor.toml:19: targets[1].connector: unknown connector 'redit'; did you mean 'reddit'?",
        "monitor.toml:23: channels.more.brands[1]: unknown brand 'amce'; did you mean 'acme'?",
    ]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('name = "a"\nphrases = ["("]\nreason = "r"\ncomplaint = 1.0', "is not an RE2 expression"),
        ('name = "a"\nphrases = ["x*"]\nreason = "r"\ncomplaint = 99', "from -10 to 10"),
        ('name = "a"\nphrase = ["x"]\nreason = "r"\ncomplaint = 1', "unknown key"),
        ('name = "a"\nany = ["x?"]\nreason = "r"\ncomplaint = 1', "matches an empty text"),
        ('name = "a"\nany = ["\\\\pL{500}"]\nreason = "r"\ncomplaint = 1', "too large"),
    ],
)
def test_a_pattern_of_ones_own_is_tried_when_it_is_read(tmp_path: Path, row: str, said: str) -> None:
    """A pattern that does not compile, or would stop the daemon, is refused with its line and reason."""
    (line,) = problems(tmp_path, f"{SMALL}[[rules.patterns]]\n{row}\n")
    assert line.startswith("monitor.toml:15: rules.patterns[0]: pattern")
    assert said in line


def test_each_pattern_has_a_name_of_its_own(tmp_path: Path) -> None:
    """A reason in an alert leads to one pattern."""
    row = '[[rules.patterns]]\nname = "a"\nphrases = ["x"]\nreason = "r"\ncomplaint = 1\n'
    (said,) = problems(tmp_path, SMALL + row + row)
    assert said.startswith("monitor.toml:20: rules.patterns[1]: expected each name once")


def test_templates_are_found_beside_the_config_or_refused(tmp_path: Path) -> None:
    """Wherever the daemon runs, a relative path means the same folder; and a language is one."""
    (tmp_path / "words").mkdir()
    assert load(tmp_path, SMALL + '[alerts]\ntemplates = "words"\n').alerts.templates == tmp_path / "words"
    (said,) = problems(tmp_path, SMALL + '[alerts]\ntemplates = "other"\n')
    assert said.startswith("monitor.toml:16: alerts.templates: there is no such folder")
    (said,) = problems(tmp_path, SMALL + '[monitor]\nlanguage = "klingon"\n')
    assert 'monitor.language: expected a language such as "en", "en-US", "de"' in said


def test_a_ca_file_is_found_beside_the_config_or_refused(tmp_path: Path) -> None:
    """It does not matter from which folder the daemon is started."""
    (tmp_path / "own.pem").write_text("", "utf-8")
    config = load(tmp_path, SMALL + '[http]\nca_file = "own.pem"\n')
    assert config.http.ca_file == tmp_path / "own.pem"
    (said,) = problems(tmp_path, SMALL + '[http]\nca_file = "other.pem"\n')
    assert said.startswith("monitor.toml:16: http.ca_file: there is no such file")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('[web]\nlisten = "0.0.0.0:9464"\n', "web.listen: others can reach 0.0.0.0:9464"),
        ('[brands.other]\nname = "Other"\n', "brands.other: has no account"),
        (
            '[[brands.acme.x]]\nhandle = "acme"\naccount = "b"\nbearer_token = { env = "T" }\n',
            "brands.acme.x[1]: @acme stands here twice",
        ),
        (
            '[[targets]]\nname = "never"\nfirst_response = "5m"\npublic = true\n',
            "targets[1]: 'never' is never reached; 'all' above takes its cases",
        ),
        (
            '[[targets]]\nname = "who"\nfirst_response = "5m"\nneeds_reply = "any"\naccount = "nobody"\n',
            "targets[1].account: no account has the label 'nobody'",
        ),
        (
            '[heartbeat]\nurl = { file = "url.txt" }\n',
            "heartbeat.url: 'url.txt' is looked for in the folder",
        ),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(tmp_path: Path, change: str, said: str) -> None:
    """It runs, and says beforehand what somebody will otherwise wonder about."""
    (warning,) = load(tmp_path, SMALL + change).warnings
    assert warning.startswith(said)


def test_an_address_that_is_not_served_is_no_warning(tmp_path: Path) -> None:
    """With the web switched off nobody can reach it."""
    assert load(tmp_path, SMALL + '[web]\nlisten = "0.0.0.0:9464"\nenabled = false\n').warnings == ()


def test_silence_is_never_an_accident(tmp_path: Path) -> None:
    """Whoever has no channel, or none that hears of breaches, is warned."""
    alone = SMALL[: SMALL.index("[channels")]
    assert load(tmp_path, alone).warnings == ("channels: none are given, so nobody will be told",)
    deaf = load(tmp_path, SMALL + 'stages = ["warning", "cleared"]\n')
    assert deaf.warnings == tuple(
        f"channels: none says {stage!r}" for stage in ("breach", "spike", "trouble")
    )
    assert deaf.channels["care"].stages == ("warning", "cleared", "corrected")


def test_without_targets_those_of_the_template_hold(tmp_path: Path) -> None:
    """A config of ten lines already keeps a public complaint from waiting for more than 15 minutes."""
    bare = SMALL.replace('[[targets]]\nname = "all"\nfirst_response = "15m"\n', "")
    config = load(tmp_path, bare)
    assert config.targets == load_config(ROOT / "monitor.toml").targets
    complaint = next(t for t in config.targets if t.complaint and t.public)
    assert complaint.first_response == timedelta(minutes=15)
    assert [w.split(":")[0] for w in config.warnings] == ["targets"]
    none = load(tmp_path, "targets = []\n" + bare)
    assert none.targets == () and none.warnings == ("targets: none are given, so nothing can be late",)


def test_only_what_is_configured_is_imported(tmp_path: Path) -> None:
    """A daemon without Reddit and email does not pay for their libraries."""
    path = tmp_path / "monitor.toml"
    path.write_text(SMALL, "utf-8")
    code = (
        "import sys; from pathlib import Path; from monitor.load import load_config; "
        f"load_config(Path({str(path)!r})); "
        "print([m for m in ('praw', 'connectors.reddit', 'alerts.smtp') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_each_missing_secret_is_named_by_key_and_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever forgot a variable, a file or a credential reads which, and for what."""
    monkeypatch.delenv("T_X_BEARER", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    config = load(
        tmp_path,
        SMALL.replace('{ env = "T_SLACK" }', '{ credential = "slack" }')
        + f'[heartbeat]\nurl = {{ file = "{tmp_path}/beat" }}\n',
    )
    found = check_secrets(config)
    assert {p.file for p in found} == {str(tmp_path / "monitor.toml")}
    assert [p.key for p in found] == [
        "heartbeat.url",
        "brands.acme.x[0].bearer_token",
        "channels.care.webhook_url",
    ]
    for problem, source in zip(
        found, (f"{tmp_path}/beat", "T_X_BEARER", "LoadCredential=slack"), strict=True
    ):
        assert source in problem.message
    (tmp_path / "beat").write_text("https://beat.example/1\n", "utf-8")
    monkeypatch.setenv("T_X_BEARER", "bearer-hunter2")
    assert [p.key for p in check_secrets(config)] == ["channels.care.webhook_url"]
    assert secret_values(config) == ["https://beat.example/1", "bearer-hunter2"]


def test_the_stored_policy_is_canonical_and_holds_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same promises give the same fact, whatever the order in the file; others give another one."""
    monkeypatch.setenv("T_X_BEARER", "hunter2")
    one = policy_json(load(tmp_path, SMALL))
    head, tail = SMALL.split("[[targets]]")
    moved = '[channels.care]\ntype = "slack"\nwebhook_url = { env = "T_SLACK" }\n' + head + "[[targets]]"
    assert policy_json(load(tmp_path, moved + tail.split("[channels")[0])) == one
    assert policy_json(load(tmp_path, SMALL.replace('"15m"', '"900s"'))) == one
    assert policy_json(load(tmp_path, SMALL.replace('"15m"', '"16m"'))) != one
    assert "hunter2" not in one and "T_X_BEARER" not in one
    assert json.loads(one)["targets"][0]["first_response"] == 900.0


def test_a_config_can_be_printed_without_giving_secrets_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback or a debug line that holds the config is harmless."""
    monkeypatch.setenv("T_X_BEARER", "hunter2")
    monkeypatch.setenv("T_SLACK", "hunter2")
    config = load(tmp_path, SMALL)
    assert len(list(find_secrets(config))) == 2
    assert "hunter2" not in repr(config) + str(config)


def test_the_packs_are_whole() -> None:
    """The English pack comes with the package and can be read."""
    packs = [Pack.from_mapping(data) for data in load_packs()]
    assert "en" in [pack.language for pack in packs]


def test_the_template_loads_and_lacks_only_the_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `init` writes is right as it is: only the variables remain to be set."""
    for name in re.findall(r'env = "(\w+)"', template()):
        monkeypatch.delenv(name, raising=False)
    config = load(tmp_path, template())
    assert config.warnings == ()
    missing = check_secrets(config)
    assert missing and all("environment variable" in p.message for p in missing)


def test_the_root_file_is_the_template() -> None:
    """What one reads in the repository is what `init` writes."""
    assert (ROOT / "monitor.toml").read_text("utf-8") == template()


def test_a_problem_without_a_place_is_still_a_sentence() -> None:
    """Where the line is not known, the file and the key are."""
    assert str(Problem("monitor.toml", None, "a.b", "is wrong")) == "monitor.toml: a.b: is wrong"
    assert str(Problem("monitor.toml", 3, "", "is wrong")) == "monitor.toml:3: is wrong"


def test_a_file_without_permission_says_so(tmp_path: Path) -> None:
    """A folder in the place of the file is not answered with `init`."""
    (tmp_path / "monitor.toml").mkdir()
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "monitor.toml")
    assert os.strerror(21) in str(caught.value) and "init" not in str(caught.value)


@pytest.mark.parametrize("setting", ["app_token", "signing_secret"])
def test_channels_of_one_app_heed_the_same_people(tmp_path: Path, setting: str) -> None:
    """Who may press in one channel and not in another is told that both hear for each other."""
    channel = f"""
[channels.NAME]
type = "slack"
bot_token = {{ env = "T_BOT" }}
{setting} = {{ env = "T_APP" }}
channel = "#NAME"
operators = ["U0ANA", "U0BO"]
"""
    both = channel.replace("NAME", "lead") + channel.replace("NAME", "night")
    assert load(tmp_path, SMALL + both).warnings == ()
    turned = both.replace('["U0ANA", "U0BO"]', '["U0BO", "U0ANA"]', 1)
    assert load(tmp_path, SMALL + turned).warnings == ()
    others = both.replace('operators = ["U0ANA", "U0BO"]\n', "", 1)
    assert load(tmp_path, SMALL + others).warnings == (
        "channels.night.operators: not those of lead, which has the same app and hears for it",
    )
    assert load(tmp_path, SMALL + others.replace("T_APP", "T_OTHER", 1)).warnings == ()


def test_an_account_that_can_hear_nothing_is_told_of(tmp_path: Path) -> None:
    """What is only handed over needs the web server: a config without it is right, and hears nothing."""
    hook = '[[brands.acme.webhook]]\nhandle = "shop"\nsigning_secrets = [{ env = "T_HOOK" }]\n'
    assert load(tmp_path, SMALL + hook).warnings == ()
    (warning,) = load(tmp_path, SMALL + hook + "[web]\nenabled = false\n").warnings
    assert warning == (
        "brands.acme.webhook[0]: web.enabled is false, so nothing can be handed over: it hears nothing"
    )
