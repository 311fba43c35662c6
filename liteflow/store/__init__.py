"""The store: one SQLite file that keeps what happened, and all the SQL there is.

    driver --rows--> journal --one transaction--> the file --history--> whoever asks
                                   db: opens it, makes it, brings it up to date

It knows no executor and no graph, and reads no value: payloads are bytes in and bytes out.
Tables and views are in `schema.sql`.
"""
