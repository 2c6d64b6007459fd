"""Flask-Security-Too as its documentation starts it, with authentication tokens and SQLAlchemy."""

import os

from flask import Flask
from flask_security import Security, SQLAlchemyUserDatastore, auth_required
from flask_security.models import fsqla_v3
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.engine import Engine

app = Flask(__name__)
app.config.update(
    SECRET_KEY="s" * 40,
    SECURITY_PASSWORD_SALT="1" * 32,
    SQLALCHEMY_DATABASE_URI=f"sqlite:///{os.environ['DATA']}/peer.db",
    WTF_CSRF_ENABLED=False,
    SECURITY_REGISTERABLE=True,
    SECURITY_SEND_REGISTER_EMAIL=False,
    SECURITY_EMAIL_VALIDATOR_ARGS={"check_deliverability": False},
    SECURITY_USE_REGISTER_V2=True,
    SECURITY_PASSWORD_CONFIRM_REQUIRED=False,
)
db = SQLAlchemy(app)
fsqla_v3.FsModels.set_db_info(db)


@event.listens_for(Engine, "connect")
def write_ahead(connection, _record):
    """Readers do not wait for writers, as with ours."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA busy_timeout=5000")


class Role(db.Model, fsqla_v3.FsRoleMixin):
    """A role."""


class User(db.Model, fsqla_v3.FsUserMixin):
    """An account."""


Security(app, SQLAlchemyUserDatastore(db, User, Role))


def make_tables():
    """Make the tables, before any worker is started."""
    with app.app_context():
        db.create_all()


@app.get("/me")
@auth_required("token")
def me():
    """Verify."""
    return {"ok": True}


if __name__ == "__main__":
    make_tables()
