"""The layout of GLOCAL_HOME. Only this module joins its paths."""

from dataclasses import dataclass
from pathlib import Path

BEGUN, RESULT = "run.json", "result.json"
"""Names of the files in a run's folder that name its record, once it has one, and say how it ended."""
ALIVE = "alive"
"""Name of the file in a run's folder whose lock the run holds while it is under way."""
CANCELLED = "cancelled.json"
"""Name of the file in the folder of a run or an order by which somebody asks for its end."""


@dataclass(frozen=True)
class DataStore:
    """The folder of all versions of data sets, `GLOCAL_HOME/data`."""

    root: Path

    @property
    def repo(self) -> Path:
        """The git and DVC repository."""
        return self.root / "repo"

    @property
    def remote(self) -> Path:
        """The DVC remote, unless another address is set."""
        return self.root / "remote"

    @property
    def home(self) -> "Home":
        """The home that the store belongs to."""
        return Home(self.root.parent)

    @property
    def staging(self) -> Path:
        """Folder with a subfolder for each running import. The next import removes the subfolder of a killed one."""
        return self.root / "staging"

    @property
    def site(self) -> Path:
        """DVC's own index."""
        return self.root / "site"

    @property
    def reports(self) -> Path:
        """The findings of the last import of each name."""
        return self.root / "reports"

    @property
    def lock(self) -> Path:
        """Lock that an import holds."""
        return self.root / ".lock"


@dataclass(frozen=True)
class ServeFolder:
    """The folder of the endpoint, `GLOCAL_HOME/serve`, and the folder of all logs."""

    root: Path
    logs: Path

    @property
    def state(self) -> Path:
        """File that names the server's process and its ports."""
        return self.root / "state.json"

    @property
    def deployed(self) -> Path:
        """File that names the served version of each model."""
        return self.root / "deployed.json"

    @property
    def challengers(self) -> Path:
        """File that names the version that is tried beside the served one, by model."""
        return self.root / "challengers.json"

    @property
    def aborted(self) -> Path:
        """File of the gateway that says which challenges it has aborted, and why."""
        return self.root / "aborted.json"

    @property
    def store(self) -> Path:
        """Folder of the archives."""
        return self.root / "store"

    @property
    def config(self) -> Path:
        """The server's configuration. This path on a command line marks a process as this home's."""
        return self.root / "config.properties"

    @property
    def logging(self) -> Path:
        """The server's logging configuration."""
        return self.root / "log4j2.xml"

    @property
    def scratch(self) -> Path:
        """The server's temporary files."""
        return self.root / "tmp"

    @property
    def tokens(self) -> Path:
        """File that the server writes its tokens to, readable by its owner alone."""
        return self.root / "key_file.json"

    @property
    def place(self) -> Path:
        """File with the id by which a cluster knows this home, which promotes there."""
        return self.root / "place.json"

    @property
    def fetched(self) -> Path:
        """Folder with a subfolder for each release that a replica was told to serve: see `serving.replica`."""
        return self.root / "fetched"

    @property
    def milvus_token(self) -> Path:
        """File with the token for Milvus that workers read, readable by its owner alone."""
        return self.root / "milvus_token"

    @property
    def loaded(self) -> Path:
        """Folder with a subfolder for each loaded version, where a version has a server of its own."""
        return self.root / "loaded"

    @property
    def gateway(self) -> Path:
        """File that names the gateway's process and its port."""
        return self.root / "gateway.json"

    @property
    def keys(self) -> Path:
        """File with the hashes of the API keys."""
        return self.root / "keys.json"

    @property
    def key(self) -> Path:
        """File with the API key of this home's owner, readable by its owner alone."""
        return self.root / "key"

    @property
    def samples(self) -> Path:
        """Folder of the images that the gateway keeps."""
        return self.root / "samples"

    @property
    def gateway_logs(self) -> Path:
        """Folder of the gateway's logs."""
        return self.logs / "gateway"

    @property
    def audit_log(self) -> Path:
        """Log of refused calls and of changes of keys."""
        return self.gateway_logs / "audit.log"

    def backend_logs(self, name: str) -> Path:
        """Folder of the logs of a server of models."""
        return self.logs / name

    @property
    def deploy_lock(self) -> Path:
        """Lock that a change of the served version holds."""
        return self.root / "deploy.lock"

    @property
    def start_lock(self) -> Path:
        """Lock that a start or stop of the server holds."""
        return self.root / "start.lock"


@dataclass(frozen=True)
class DashboardFolder:
    """The dashboard's files, `GLOCAL_HOME/dashboard`.

    Attributes:
        root: The folder.
        logs: Folder of its logs.
    """

    root: Path
    logs: Path

    @property
    def state(self) -> Path:
        """File that names the dashboard's process and its address."""
        return self.root / "state.json"

    @property
    def lock(self) -> Path:
        """Lock that the dashboard holds while it serves."""
        return self.root / "dashboard.lock"

    @property
    def secret(self) -> Path:
        """File with the secret that sessions are signed with, readable by its owner alone."""
        return self.root / "secret.json"

    @property
    def link(self) -> Path:
        """File with the hash of the one-time link's token."""
        return self.root / "link.json"

    @property
    def corrections(self) -> Path:
        """Folder of the images whose answers people have corrected."""
        return self.root / "corrections"

    @property
    def jobs(self) -> Path:
        """Folder with a subfolder for each job: work that takes longer than a page may."""
        return self.root / "jobs"

    @property
    def seen(self) -> Path:
        """File with the time at which each service was last seen up."""
        return self.root / "seen.json"

    @property
    def log(self) -> Path:
        """Log of the dashboard."""
        return self.logs / "dashboard.log"

    @property
    def audit_log(self) -> Path:
        """Log of refused requests and of changes."""
        return self.logs / "audit.log"


@dataclass(frozen=True)
class QueueFolder:
    """The folder of the queue of runs, `GLOCAL_HOME/queue`, and the folder of all logs."""

    root: Path
    logs: Path

    @property
    def orders(self) -> Path:
        """Folder with a subfolder for each order, by its id."""
        return self.root / "orders"

    @property
    def schedules(self) -> Path:
        """Folder with a file for each schedule, by its id."""
        return self.root / "schedules"

    @property
    def tasks(self) -> Path:
        """Huey's database of what is queued. The worker makes it anew from the orders when it starts, and where it is damaged."""
        return self.root / "tasks.db"

    @property
    def lock(self) -> Path:
        """Lock that a change of an order or a schedule holds."""
        return self.root / "queue.lock"

    @property
    def worker(self) -> Path:
        """File that names the worker's process."""
        return self.root / "worker.json"

    @property
    def worker_lock(self) -> Path:
        """Lock that the worker holds while it lives."""
        return self.root / "worker.lock"

    @property
    def start_lock(self) -> Path:
        """Lock that a start or stop of the worker holds."""
        return self.root / "start.lock"

    @property
    def log(self) -> Path:
        """Log of the worker."""
        return self.logs / "queue.log"


@dataclass(frozen=True)
class Home:
    """One GLOCAL_HOME: all state of one machine.

    Attributes:
        root: The folder, absolute.
    """

    root: Path

    @classmethod
    def at(cls, folder: Path | str) -> "Home":
        """The home in `folder`, with links resolved."""
        return cls(Path(folder).expanduser().resolve())

    @property
    def data(self) -> DataStore:
        """Versions of data sets."""
        return DataStore(self.root / "data")

    @property
    def datasets(self) -> Path:
        """Versions of data sets as folders, by hash."""
        return self.root / "datasets"

    @property
    def work(self) -> Path:
        """Feature maps, decoded images and training checkpoints, by content."""
        return self.root / "work"

    @property
    def artifacts(self) -> Path:
        """Outputs of pipeline steps."""
        return self.root / "artifacts"

    @property
    def step_cache(self) -> Path:
        """Records of finished steps, by code revision."""
        return self.root / "cache"

    @property
    def runs(self) -> Path:
        """One folder for each run, with logs, report, decision and result."""
        return self.root / "runs"

    @property
    def tracking_uri(self) -> str:
        """The address of MLflow's database.

        `%`, `?` and `#` are escaped. In that case the driver is named as well, because with a plain `sqlite:///` MLflow makes a
        folder of the escaped name.
        """
        path = str(self.root / "mlflow.db")
        escaped = path.replace("%", "%25").replace("?", "%3F").replace("#", "%23")
        return f"{'sqlite' if escaped == path else 'sqlite+pysqlite'}:///{escaped}"

    @property
    def ledger(self) -> Path:
        """File of the promotions in this home, to which lines are only added."""
        return self.root / "ledger.jsonl"

    @property
    def serve(self) -> ServeFolder:
        """The endpoint's state and archives."""
        return ServeFolder(self.root / "serve", self.root / "logs")

    @property
    def queue(self) -> QueueFolder:
        """The queue of runs."""
        return QueueFolder(self.root / "queue", self.root / "logs")

    @property
    def dashboard(self) -> DashboardFolder:
        """The dashboard's files."""
        return DashboardFolder(self.root / "dashboard", self.root / "logs" / "dashboard")

    @property
    def benchmarks(self) -> "Home":
        """A home of its own for the benchmarks."""
        return Home(self.root / "benchmarks")

    @property
    def scratch(self) -> Path:
        """Temporary files, if the system's temporary folder cannot be used."""
        return self.root / "tmp"

    @property
    def marker(self) -> Path:
        """File that marks this folder as Glocal's; see `model.claim`."""
        return self.root / ".glocal-home"

    @property
    def names(self) -> frozenset[str]:
        """The names of files and folders that Glocal uses in this folder."""
        return frozenset({folder.name for folder in self.folders} | {"mlflow.db", self.ledger.name})

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that Glocal makes in this folder."""
        made = (self.data.root, self.datasets, self.work, self.artifacts, self.step_cache, self.runs, self.scratch)
        own = (self.queue.root, self.serve.root, self.serve.logs, self.dashboard.root, self.benchmarks.root)
        return (*made, *own, self.root / "mlartifacts")
