"""Flask-JWT-Extended with the database blocklist of its own documentation: the way to revoke a token there."""

import os
from datetime import UTC, datetime

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from flask import Flask, request
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_jwt,
    get_jwt_identity,
    jwt_required,
)
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.engine import Engine

hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)  # as ours: OWASP's minimum
app = Flask(__name__)
app.config.update(JWT_SECRET_KEY="k" * 32, SQLALCHEMY_DATABASE_URI=f"sqlite:///{os.environ['DATA']}/peer.db")
jwt = JWTManager(app)
db = SQLAlchemy(app)


@event.listens_for(Engine, "connect")
def write_ahead(connection, _record):
    """Readers do not wait for writers, as with ours."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA busy_timeout=5000")


class User(db.Model):
    """An account."""

    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String(80), unique=True)
    password = db.Column(db.String(200))


class Blocked(db.Model):
    """A token that was logged out."""

    id = db.Column(db.Integer, primary_key=True)
    jti = db.Column(db.String(36), nullable=False, index=True)
    created_at = db.Column(db.DateTime, nullable=False)


@jwt.token_in_blocklist_loader
def is_blocked(_header, payload):
    """Look a token up, at every request."""
    return db.session.query(Blocked.id).filter_by(jti=payload["jti"]).scalar() is not None


def make_tables():
    """Make the tables, before any worker is started."""
    with app.app_context():
        db.create_all()


@app.get("/me")
@jwt_required()
def me():
    """Verify."""
    return {"ok": True}


@app.post("/register")
def register():
    """Make an account."""
    form = request.get_json()
    db.session.add(User(email=form["email"], password=hasher.hash(form["password"])))
    db.session.commit()
    return {"ok": True}, 201


@app.post("/login")
def login():
    """Give tokens for a password."""
    form = request.get_json()
    user = User.query.filter_by(email=form["email"]).first()
    try:
        hasher.verify(user.password, form["password"])
    except VerifyMismatchError:
        return {"ok": False}, 401
    return {"token": create_access_token(str(user.id)), "refresh": create_refresh_token(str(user.id))}


@app.post("/refresh")
@jwt_required(refresh=True)
def refresh():
    """Give a new access token."""
    return {"token": create_access_token(get_jwt_identity())}


@app.delete("/logout")
@jwt_required()
def logout():
    """Block the token."""
    db.session.add(Blocked(jti=get_jwt()["jti"], created_at=datetime.now(UTC)))
    db.session.commit()
    return {"ok": True}


if __name__ == "__main__":
    make_tables()
