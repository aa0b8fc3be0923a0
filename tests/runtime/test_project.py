"""Where a project is, and which files belong to it."""

import os
from pathlib import Path

import pytest

from flinfast.errors import ConfigError
from flinfast.lang.source import SOURCE_BYTES_MAX
from flinfast.runtime import project as project_module
from flinfast.runtime.project import find_root, line_reader, load_project
from tests.runtime.programs import write

FILES = {
    "app/index.flin": "",
    "app/_middleware.flin": "",
    "app/api/_middleware.flin": "",
    "app/api/orders/[id].flin": "",
    "app/(site)/about.flin": "",
    "app/_parts/x.flin": "",
    "app/readme.md": "",
    "app/.hidden.flin": "",
    "app/.git/x.flin": "",
    "entities/deep/a.flin": "",
    "lib/f.flin": "",
    "guards/g.flin": "",
    "public/x.flin": "",
    "other/x.flin": "",
}


def test_files_have_kinds_paths_and_folders(tmp_path: Path) -> None:
    """Shared files first, then app/ in path order; everything else is passed over."""
    project = load_project(write(tmp_path, FILES))
    assert [
        (f.source.path, f.kind, str(f.pattern) if f.pattern else "", f.folder)
        for f in project.files
    ] == [
        ("entities/deep/a.flin", "entities", "", ()),
        ("lib/f.flin", "lib", "", ()),
        ("guards/g.flin", "guards", "", ()),
        ("app/(site)/about.flin", "route", "/about", ("(site)",)),
        ("app/_middleware.flin", "middleware", "", ()),
        ("app/api/_middleware.flin", "middleware", "", ("api",)),
        ("app/api/orders/[id].flin", "route", "/api/orders/:id", ("api", "orders")),
        ("app/index.flin", "route", "/", ()),
    ]
    assert project.diagnostics == []
    assert project.public == tmp_path / "public"


@pytest.mark.parametrize("path", ["", "app", "app/"])
def test_root_is_found_from_itself_and_from_app(tmp_path: Path, path: str) -> None:
    """`flinfast serve .` and `flinfast serve app/` are the same."""
    write(tmp_path, FILES)
    assert find_root(tmp_path / path) == (tmp_path, None)


def test_one_file_is_a_project(tmp_path: Path) -> None:
    """Its folder is the root, or the parent when that folder is app/."""
    write(tmp_path, {"chat.flin": "", "app/x.flin": "", "entities/e.flin": ""})
    assert find_root(tmp_path / "chat.flin") == (tmp_path, tmp_path / "chat.flin")
    assert find_root(tmp_path / "app/x.flin")[0] == tmp_path
    project = load_project(tmp_path / "chat.flin")
    assert [(f.source.path, str(f.pattern or "")) for f in project.files] == [
        ("entities/e.flin", ""),
        ("chat.flin", "/"),
    ]
    assert project.is_single


def test_a_folder_without_app_is_told_what_to_do(tmp_path: Path) -> None:
    """Beside a project its name is the hint; with nothing there, how to make one."""
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ConfigError) as caught:
        find_root(tmp_path)
    assert "`flinfast new chat` makes a project" in caught.value.hint
    (tmp_path / "shop" / "app").mkdir(parents=True)
    with pytest.raises(ConfigError) as caught:
        find_root(tmp_path)
    assert caught.value.hint == "`shop` is a project: give its folder"


def test_root_may_be_called_app(tmp_path: Path) -> None:
    """A container's /app with its own app/ inside; a route folder called app stays a route."""
    root = write(tmp_path / "app", {"app/index.flin": ""})
    assert find_root(root) == (root, None)
    write(tmp_path / "app", {"index.flin": ""})
    assert find_root(root) == (tmp_path, None)


@pytest.mark.parametrize("path", ["missing", "empty", "notes.txt"])
def test_what_is_no_project_is_said(tmp_path: Path, path: str) -> None:
    """A missing path, a folder without app/, a file of another kind."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigError):
        find_root(tmp_path / path)


def codes(project: object) -> list[tuple[str, str]]:
    return sorted((d.code, d.source.path) for d in project.diagnostics)  # type: ignore[attr-defined]


def test_unusable_files_are_all_reported(tmp_path: Path) -> None:
    """Too large, not UTF-8, odd names; the others are still read."""
    write(tmp_path, {"app/good.flin": "", "app/[bad.flin": "", "app/[...a]/b.flin": ""})
    (tmp_path / "app/latin.flin").write_bytes(b"// \xe9")
    (tmp_path / "app/large.flin").write_bytes(b" " * (SOURCE_BYTES_MAX + 1))
    (tmp_path / "app/limit.flin").write_bytes(b" " * SOURCE_BYTES_MAX)
    project = load_project(tmp_path)
    assert codes(project) == [
        ("FL901", "app/large.flin"),
        ("FL902", "app/latin.flin"),
        ("FL909", "app/[...a]/b.flin"),
        ("FL909", "app/[bad.flin"),
    ]
    assert [f.source.path for f in project.files] == ["app/good.flin", "app/limit.flin"]


def test_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    """Editors that write one do no harm."""
    write(tmp_path, {"app/a.flin": ""})
    (tmp_path / "app/a.flin").write_bytes(b"\xef\xbb\xbfroute")
    assert load_project(tmp_path).files[0].source.text == "route"


def test_links_are_followed_inside_the_root_only(tmp_path: Path) -> None:
    """A link out is a diagnostic, a loop ends, a link inside is read."""
    root = write(tmp_path / "project", {"app/a.flin": "", "shared/s.flin": ""})
    write(tmp_path / "outside", {"x.flin": "", "secret.flin": ""})
    os.symlink(tmp_path / "outside", root / "app/out")
    os.symlink(tmp_path / "outside/secret.flin", root / "app/secret.flin")
    os.symlink(root / "shared", root / "app/in")
    os.symlink(root / "app", root / "app/loop")
    os.symlink(root / "nowhere.flin", root / "app/dangling.flin")
    project = load_project(root)
    assert codes(project) == [("FL908", "app/out"), ("FL908", "app/secret.flin")]
    assert [f.source.path for f in project.files] == ["app/a.flin", "app/in/s.flin"]


def test_number_of_files_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong PATH ends with a question instead of reading a disk."""
    monkeypatch.setattr(project_module, "FILES_MAX", 3)
    write(tmp_path, {f"app/d{i}/x.flin": "" for i in range(3)})
    assert len(load_project(tmp_path).files) == 3
    write(tmp_path, {"app/d4/x.flin": "", "app/d5/x.flin": ""})
    with pytest.raises(ConfigError):
        load_project(tmp_path)


def test_unreadable_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions and disk errors name the file."""
    write(tmp_path, {"app/a.flin": "", "app/b.flin": ""})
    real = Path.open

    def fail(self: Path, *args: object, **named: object) -> object:
        if self.name == "a.flin":
            raise PermissionError(13, "Permission denied")
        return real(self, *args, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", fail)
    assert codes(load_project(tmp_path)) == [("FL907", "app/a.flin")]


def test_lines_of_sources_can_be_shown(tmp_path: Path) -> None:
    """Lines of the project's files, and of nothing else."""
    read = line_reader(load_project(write(tmp_path, {"app/a.flin": "one\ntwo"})))
    assert [read("app/a.flin", n) for n in (0, 1, 2, 3)] == [None, "one", "two", None]
    assert read("/etc/passwd", 1) is None
