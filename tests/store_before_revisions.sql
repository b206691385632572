CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;

COMMENT ON EXTENSION vector IS 'vector data type and ivfflat and hnsw access methods';

CREATE TABLE public.cameras (
    district text NOT NULL,
    id text NOT NULL,
    name text NOT NULL,
    latitude double precision NOT NULL,
    longitude double precision NOT NULL,
    fps double precision NOT NULL,
    width_px integer NOT NULL,
    height_px integer NOT NULL,
    start timestamp with time zone
);

CREATE TABLE public.districts (
    name text NOT NULL
);

CREATE TABLE public.tracklets (
    district text NOT NULL,
    id bigint NOT NULL,
    camera_id text NOT NULL,
    first_seen timestamp with time zone NOT NULL,
    last_seen timestamp with time zone NOT NULL,
    boxes jsonb NOT NULL,
    quality double precision NOT NULL,
    feature integer NOT NULL,
    embedding public.halfvec NOT NULL,
    attributes jsonb NOT NULL,
    model_version text NOT NULL,
    crop text NOT NULL
);

INSERT INTO public.cameras VALUES ('demo', 'cam0', 'Gate 0', 35.85, 128.6, 10, 64, 48, '2026-05-01 12:00:00+00');

INSERT INTO public.districts VALUES ('demo');

INSERT INTO public.tracklets VALUES ('demo', 1, 'cam0', '2026-05-01 12:00:00+00', '2026-05-01 12:00:05+00', '[[1, 1, 2, 30, 40, 0.9]]', 0.7, 3, '[1,0,0]', '{"bag": {"none": 1}}', 'net-1', 'crops/demo/000001.jpg');
INSERT INTO public.tracklets VALUES ('demo', 2, 'cam0', '2026-05-01 12:00:10+00', '2026-05-01 12:00:15+00', '[[11, 1, 2, 30, 40, 0.9]]', 0.6, 3, '[0,1,0]', '{}', 'net-1', 'crops/demo/000002.jpg');

ALTER TABLE ONLY public.cameras
    ADD CONSTRAINT cameras_pkey PRIMARY KEY (district, id);

ALTER TABLE ONLY public.districts
    ADD CONSTRAINT districts_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.tracklets
    ADD CONSTRAINT tracklets_pkey PRIMARY KEY (district, id);

CREATE INDEX tracklets_by_time ON public.tracklets USING btree (camera_id, first_seen);

CREATE INDEX tracklets_embedding_3 ON public.tracklets USING hnsw (((embedding)::public.halfvec(3)) public.halfvec_cosine_ops) WHERE (feature = 3);

ALTER TABLE ONLY public.cameras
    ADD CONSTRAINT cameras_district_fkey FOREIGN KEY (district) REFERENCES public.districts(name) ON DELETE CASCADE;

ALTER TABLE ONLY public.tracklets
    ADD CONSTRAINT tracklets_district_camera_id_fkey FOREIGN KEY (district, camera_id) REFERENCES public.cameras(district, id) ON DELETE CASCADE;
