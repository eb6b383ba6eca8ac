from pathlib import Path

from cli.programs import read_procfile

PROCFILE = """\
# comment
web: uvicorn api.main:app --port ${BATON_PORT:-8765}

worker: celery worker
beat: celery beat
"""


def test_a_procfile_gives_one_program_a_line_and_numbers_those_of_which_there_are_several(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text(PROCFILE)
    programs = read_procfile(tmp_path / "Procfile", {"worker": 2, "beat": 1}, {"A": "b"})
    assert [program.name for program in programs] == ["web", "worker.1", "worker.2", "beat"]
    web, worker, *_ = programs
    assert web.folder == tmp_path
    assert worker.environment == {"A": "b", "CELERY_WORKER_HOSTNAME": "worker.1@%h"}
    assert web.words == ["/bin/sh", "-c", "exec uvicorn api.main:app --port ${BATON_PORT:-8765}"]
